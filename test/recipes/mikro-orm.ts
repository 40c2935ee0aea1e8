import { defineEntity, p } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { EventRunner, inTransaction } from 'nestjs-callbacks';

export const User = defineEntity({
  name: 'User',
  tableName: 'users',
  properties: { name: p.text().primary(), email: p.text() },
});

@Injectable()
export class SignUpWithMikroOrm {
  constructor(
    private readonly em: EntityManager,
    private readonly events: EventRunner,
  ) {}

  async signUp(name: string, email: string) {
    await inTransaction(
      (work) => this.em.fork().transactional(work),
      async (em: EntityManager) => {
        em.create(User, { name, email }); // is written at the commit, or with em.flush()
        await this.events.run('user_joined', name, email);
      },
    );
  }
}
