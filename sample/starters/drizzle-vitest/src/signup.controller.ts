import { Body, Controller, Post } from '@nestjs/common';
import { EventRunner, inTransaction } from 'nestjs-callbacks';
import { db, type Transaction, users } from './database.js';

@Controller('signup')
export class SignupController {
  constructor(private readonly events: EventRunner) {}

  @Post()
  async signUp(@Body() { name, email }: { name: string; email: string }) {
    await inTransaction(
      (work) => db.transaction(work),
      async (tx: Transaction) => {
        await tx.insert(users).values({ name, email });
        await this.events.run('user_joined', name, email); // stored by the same transaction
      },
    );
  }
}
