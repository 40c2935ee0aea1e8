import { Injectable } from '@nestjs/common';
import { Kysely, type Transaction } from 'kysely';
import { EventRunner, inTransaction } from 'nestjs-callbacks';

interface Tables {
  users: { name: string; email: string };
}

@Injectable()
export class SignUpWithKysely {
  constructor(
    private readonly db: Kysely<Tables>,
    private readonly events: EventRunner,
  ) {}

  async signUp(name: string, email: string) {
    await inTransaction(
      (work) => this.db.transaction().execute(work),
      async (trx: Transaction<Tables>) => {
        await trx.insertInto('users').values({ name, email }).execute();
        await this.events.run('user_joined', name, email);
      },
    );
  }
}
