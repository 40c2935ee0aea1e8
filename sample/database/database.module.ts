import { Module } from '@nestjs/common';
import { Database } from './database.js';
import { Users } from './users.js';

@Module({ providers: [{ provide: Database, useFactory: () => Database.open() }, Users], exports: [Database] })
export class DatabaseModule {}
