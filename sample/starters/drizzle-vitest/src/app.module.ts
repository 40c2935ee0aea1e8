import { Module } from '@nestjs/common';
import { EventsModule } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { pglite } from './database.js';
import { Emails } from './emails.js';
import { SignupController } from './signup.controller.js';

@Module({
  imports: [EventsModule.forRoot({ engine: postgres({ pglite }) })],
  controllers: [SignupController],
  providers: [Emails],
})
export class AppModule {}
