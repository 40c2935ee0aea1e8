import './events.js';
import { Module } from '@nestjs/common';
import { EventsModule } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { redis } from 'nestjs-callbacks/redis';
import { Database } from './database/database.js';
import { DatabaseModule } from './database/database.module.js';
import { DeliveriesModule } from './deliveries/deliveries.module.js';
import { DiscordModule } from './discord/discord.module.js';
import { EmailsModule } from './emails/emails.module.js';
import { SignupModule } from './signup/signup.module.js';

const LOCAL = 'redis://127.0.0.1:6379';

/** What is durable is kept beside the rows, in the database that the application has anyway; or on a Redis server. */
const events = EventsModule.forRootAsync({
  imports: [DatabaseModule],
  inject: [Database],
  useFactory: ({ forEvents }: Database) => ({
    engine: process.env.ENGINE === 'redis' ? redis({ url: process.env.REDIS_URL ?? LOCAL }) : postgres(forEvents),
  }),
});

/** The order of these imports is the order in which a sign-up is answered: row, e-mail, Discord. */
@Module({ imports: [events, DatabaseModule, EmailsModule, DiscordModule, SignupModule, DeliveriesModule] })
export class AppModule {}
