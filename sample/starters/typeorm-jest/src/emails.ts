import { Injectable, Logger } from '@nestjs/common';
import { Callback, currentEvent } from 'nestjs-callbacks';
import { createTransport } from 'nodemailer';

@Injectable()
export class Emails {
  private readonly logger = new Logger(Emails.name);
  private readonly mailServer = process.env.SMTP_URL ? createTransport(process.env.SMTP_URL) : undefined;

  @Callback('user_joined', { delivery: 'durable' })
  async greetNewUser(name: string, email: string) {
    await this.mailServer?.sendMail({
      messageId: `<${currentEvent()!.delivery!.id}@example.org>`, // the same at each attempt
      from: 'hello@example.org',
      to: email,
      subject: `Welcome, ${name}`,
      text: `Hello ${name}, it is good to have you with us.`,
    });
    this.logger.log(`${this.mailServer ? 'Sent' : 'Without SMTP_URL, not sent'}: "Welcome, ${name}", to ${email}`);
  }
}
