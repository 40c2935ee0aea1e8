import { Injectable } from '@nestjs/common';
import { EventRunner, inTransaction } from 'nestjs-callbacks';
import { type Prisma, PrismaClient } from '../generated/prisma/client.js';

@Injectable()
export class SignUpWithPrisma {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly events: EventRunner,
  ) {}

  async signUp(name: string, email: string) {
    await inTransaction(
      (work) => this.prisma.$transaction(work),
      async (tx: Prisma.TransactionClient) => {
        await tx.user.create({ data: { name, email } });
        await this.events.run('user_joined', name, email);
      },
    );
  }
}
