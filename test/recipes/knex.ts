import { Inject, Injectable } from '@nestjs/common';
import type { Knex } from 'knex';
import { EventRunner, inTransaction } from 'nestjs-callbacks';

@Injectable()
export class SignUpWithKnex {
  constructor(
    @Inject('KNEX') private readonly knex: Knex,
    private readonly events: EventRunner,
  ) {}

  async signUp(name: string, email: string) {
    await inTransaction(
      (work) => this.knex.transaction(work),
      async (trx: Knex.Transaction) => {
        await trx('users').insert({ name, email });
        await this.events.run('user_joined', name, email);
      },
    );
  }
}
