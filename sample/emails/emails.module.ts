import { Module } from '@nestjs/common';
import { Emails } from './emails.js';
import { Mailer } from './mailer.js';

@Module({ providers: [Mailer, Emails] })
export class EmailsModule {}
