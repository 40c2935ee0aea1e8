/** Events in transactions of MikroORM, which writes when it is told to: whose writes are undone with an optional callback. */
import { type EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Callback, type CallbackFailure, currentEvent, EventRunner, inTransaction } from 'nestjs-callbacks';
import { User } from '../recipes/mikro-orm.js';
import { closeApps, startApp } from '../support/app.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { temporaryDatabase } from './temporary-database.js';

describeWith(
  'On a Postgres server (DATABASE_URL, or the local one), with MikroORM, which writes when it is told to,',
  await findPostgres(),
  (admin) => {
    const database = temporaryDatabase(admin, 'mikro');
    let orm: MikroORM;
    let failures: CallbackFailure[];
    let events: EventRunner;
    let optional: (em: EntityManager) => unknown;

    @Injectable()
    class Badges {
      @Callback('user_joined', { optional: true })
      add() {
        return optional(currentEvent()!.tx as EntityManager);
      }
    }
    const names = async () => (await orm.em.fork().findAll(User, { orderBy: { name: 'asc' } })).map(({ name }) => name);
    const create = (em: EntityManager, name: string) => em.create(User, { name, email: '' });
    const join = () =>
      inTransaction(
        (work) => orm.em.fork().transactional<void>(work),
        async (em: EntityManager) => {
          create(em, 'before');
          await events.run('user_joined');
          create(em, 'then');
        },
      );

    beforeAll(async () => {
      await database.create();
      orm = await MikroORM.init({ clientUrl: database.url, entities: [User] });
      await orm.em.execute('create table users (name text primary key, email text not null)');
    });
    beforeEach(async () => {
      await orm.em.execute('delete from users');
      failures = [];
      ({ events } = await startApp([Badges], { onError: (failure) => failures.push(failure) }));
    });
    afterEach(closeApps);
    afterAll(async () => {
      await orm.close();
      await database.drop();
    });

    it('what an optional callback has not written yet is written in its savepoint', async () => {
      optional = (em) => create(em, 'badge');
      await join();
      expect(await names()).toEqual(['badge', 'before', 'then']);
    });

    it('and is undone with it, while what the caller had not written yet is kept', async () => {
      optional = (em) => {
        create(em, 'badge');
        // Postgres refuses this character when it is written, after the callback has returned.
        create(em, '\0');
      };
      await join();
      expect(failures).toHaveLength(1);
      expect(await names()).toEqual(['before', 'then']);
    });

    it('what the caller had not written, and cannot be, fails the run and not the callback', async () => {
      optional = () => {
        throw new Error('is not reached');
      };
      await orm.em.execute(`insert into users values ('before', '')`);
      await expect(join()).rejects.toMatchObject({ code: '23505' });
      expect(await names()).toEqual(['before']);
    });
  },
);
