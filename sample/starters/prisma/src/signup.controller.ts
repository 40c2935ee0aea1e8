import { Body, Controller, Post } from '@nestjs/common';
import { EventRunner, inTransaction } from 'nestjs-callbacks';
import { Database } from './database.js';
import type { Prisma } from './generated/client.js';

@Controller('signup')
export class SignupController {
  constructor(
    private readonly db: Database,
    private readonly events: EventRunner,
  ) {}

  @Post()
  async signUp(@Body() { name, email }: { name: string; email: string }) {
    await inTransaction(
      (work) => this.db.$transaction(work),
      async (tx: Prisma.TransactionClient) => {
        await tx.user.create({ data: { name, email } });
        await this.events.run('user_joined', name, email); // stored by the same transaction
      },
    );
  }
}
