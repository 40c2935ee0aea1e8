import { Injectable } from '@nestjs/common';
import { EventRunner, inTransaction } from 'nestjs-callbacks';
import { DataSource, type EntityManager } from 'typeorm';

@Injectable()
export class SignUpWithTypeOrm {
  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventRunner,
  ) {}

  async signUp(name: string, email: string) {
    await inTransaction(
      (work) => this.dataSource.transaction(work),
      async (manager: EntityManager) => {
        await manager.query('insert into users (name, email) values ($1, $2)', [name, email]);
        await this.events.run('user_joined', name, email);
      },
    );
  }
}
