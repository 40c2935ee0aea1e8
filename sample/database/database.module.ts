import { Module } from '@nestjs/common';
import { Database } from './database.js';
import { Users } from './users.js';

@Module({ providers: [Database, Users] })
export class DatabaseModule {}
