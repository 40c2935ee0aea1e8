import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, DeliveryRefused } from 'nestjs-callbacks';
import { Mailer } from './mailer.js';

/** Durable: a sign-up does not wait for the mail server, and the greeting arrives though that is down for hours. */
@Injectable()
export class Emails {
  constructor(private readonly mailer: Mailer) {}

  @Callback('user_joined', { delivery: 'durable', timeoutMs: 30_000 })
  async greetNewUser(name: string, email: string) {
    try {
      await this.mailer.send({
        // The same at each attempt: a mail server may know by it what it has already.
        messageId: `<${currentEvent()!.delivery!.id}@example.org>`,
        to: { name, address: email },
        subject: `Welcome, ${name}`,
        text: `Hello ${name},\n\ngood to have you with us.\n`,
      });
    } catch (error) {
      const { responseCode = 0, message } = error as Error & { responseCode?: number };
      // What a mail server refuses for good, another attempt will not change.
      if (responseCode >= 500) throw new DeliveryRefused(`${email} does not take it: ${message}`, { cause: error });
      throw error;
    }
  }
}
