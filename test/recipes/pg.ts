import { Injectable } from '@nestjs/common';
import { EventRunner, inTransaction } from 'nestjs-callbacks';
import { Pool, type PoolClient } from 'pg';

@Injectable()
export class SignUpWithPg {
  constructor(
    private readonly pool: Pool,
    private readonly events: EventRunner,
  ) {}

  async signUp(name: string, email: string) {
    await inTransaction(
      (work) => this.transaction(work),
      async (client: PoolClient) => {
        await client.query('insert into users (name, email) values ($1, $2)', [name, email]);
        await this.events.run('user_joined', name, email);
      },
    );
  }

  private async transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    try {
      await client.query('begin');
      const result = await work(client);
      await client.query('commit');
      client.release();
      return result;
    } catch (error) {
      // Where that fails, too, the connection is broken, and the first error says why.
      await client.query('rollback').then(
        () => client.release(),
        (broken: Error) => client.release(broken),
      );
      throw error;
    }
  }
}
