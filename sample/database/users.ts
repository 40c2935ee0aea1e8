import { ConflictException, Injectable } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import { Database } from './database.js';

const UNIQUE_VIOLATION = '23505';

@Injectable()
export class Users {
  constructor(private readonly database: Database) {}

  @Callback('user_joined')
  async add(name: string, email: string) {
    try {
      await this.database.query('insert into users (name, email) values ($1, $2)', [name, email]);
    } catch (error) {
      if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
      throw new ConflictException(`${email} has signed up already`, { cause: error });
    }
  }
}
