import { Module } from '@nestjs/common';
import { EventsModule } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { connectionString } from './connection-string.js';
import { Database } from './database.js';
import { Emails } from './emails.js';
import { SignupController } from './signup.controller.js';

@Module({
  imports: [EventsModule.forRoot({ engine: postgres({ connectionString }) })],
  controllers: [SignupController],
  providers: [Database, Emails],
})
export class AppModule {}
