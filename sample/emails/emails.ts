import { Injectable, Logger, ServiceUnavailableException } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import { Mailer } from './mailer.js';

@Injectable()
export class Emails {
  private readonly logger = new Logger('Emails');

  constructor(private readonly mailer: Mailer) {}

  @Callback('user_joined')
  async greetNewUser(name: string, email: string) {
    try {
      await this.mailer.send({
        to: { name, address: email },
        subject: `Welcome, ${name}`,
        text: `Hello ${name},\n\ngood to have you with us.\n`,
      });
    } catch (error) {
      this.logger.error(`No greeting for ${email}: ${(error as Error).message}`, (error as Error).stack);
      throw new ServiceUnavailableException(`The greeting to ${email} could not be sent`, { cause: error });
    }
  }
}
