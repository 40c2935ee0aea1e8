import { Inject, Injectable } from '@nestjs/common';
import type { NodePgDatabase } from 'drizzle-orm/node-postgres';
import { pgTable, text } from 'drizzle-orm/pg-core';
import { EventRunner, inTransaction } from 'nestjs-callbacks';

const users = pgTable('users', { name: text().primaryKey(), email: text().notNull() });

type Transaction = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0];

@Injectable()
export class SignUpWithDrizzle {
  constructor(
    @Inject('DRIZZLE') private readonly db: NodePgDatabase,
    private readonly events: EventRunner,
  ) {}

  async signUp(name: string, email: string) {
    await inTransaction(
      (work) => this.db.transaction(work),
      async (tx: Transaction) => {
        await tx.insert(users).values({ name, email });
        await this.events.run('user_joined', name, email);
      },
    );
  }
}
