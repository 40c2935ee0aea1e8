import './events.js';
import { Module } from '@nestjs/common';
import { EventsModule } from 'nestjs-callbacks';
import { DatabaseModule } from './database/database.module.js';
import { DiscordModule } from './discord/discord.module.js';
import { EmailsModule } from './emails/emails.module.js';
import { SignupModule } from './signup/signup.module.js';

/** The order of these imports is the order in which a sign-up is answered: row, e-mail, Discord. */
@Module({ imports: [EventsModule, DatabaseModule, EmailsModule, DiscordModule, SignupModule] })
export class AppModule {}
