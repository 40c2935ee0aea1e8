import { PGlite, type Transaction } from '@electric-sql/pglite';
import { Injectable } from '@nestjs/common';
import { EventRunner, inTransaction } from 'nestjs-callbacks';

@Injectable()
export class SignUpWithPGlite {
  constructor(
    private readonly pglite: PGlite,
    private readonly events: EventRunner,
  ) {}

  async signUp(name: string, email: string) {
    await inTransaction(
      (work) => this.pglite.transaction(work),
      async (tx: Transaction) => {
        await tx.query('insert into users (name, email) values ($1, $2)', [name, email]);
        await this.events.run('user_joined', name, email);
      },
    );
  }
}
