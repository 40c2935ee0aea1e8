import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { EventsModule } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { connectionString, database } from './database';
import { Emails } from './emails';
import { SignupController } from './signup.controller';

@Module({
  imports: [TypeOrmModule.forRoot(database), EventsModule.forRoot({ engine: postgres({ connectionString }) })],
  controllers: [SignupController],
  providers: [Emails],
})
export class AppModule {}
