/** What the Postgres engine promises on PGlite: one process a folder, nothing lost, and no waiting for oneself. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, EventDeliveries } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { closeApps, deferred, startApp, until } from '../support/app.js';
import { Project } from '../support/child-process.js';
import { Emails, engineSuite, isIdle, ran } from '../support/engine-suite.js';
import { makePGliteFolder, openPGlite } from '../support/pglite-folder.js';

const root = mkdtempSync(join(tmpdir(), 'pglite-'));
const folder = join(root, 'deliveries');
afterAll(() => rmSync(root, { recursive: true }));

describe('In a folder', () => {
  let project: Project;
  beforeAll(async () => {
    await makePGliteFolder(folder);
    project = new Project();
    project.write(
      'instance.ts',
      `import 'reflect-metadata';
      import { Injectable, Module } from '@nestjs/common';
      import { NestFactory } from '@nestjs/core';
      import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';
      import { postgres } from 'nestjs-callbacks/postgres';

      @Injectable()
      class Emails {
        @Callback('x', { delivery: 'durable' }) async greet(what) {
          console.log('begun', what);
          await new Promise(() => {});
        }
      }
      @Module({ imports: [EventsModule.forRoot({ engine: postgres({ folder: process.argv[2] }) })], providers: [Emails] })
      class AppModule {}
      try {
        const app = await NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
        await app.get(EventRunner).run('x', 'from a process');
      } catch (error) {
        console.log(error.code, error.message);
        process.exit(1);
      }`,
    );
  });
  afterAll(() => project.remove());

  it('deliveries are kept, and the log says where, and what that is not for', async () => {
    const options = { engine: postgres({ folder }) };
    const before = await startApp([Emails], { ...options, work: false });
    expect(before.log.of('log')).toContain(
      `Deliveries are kept in ${folder}, in an embedded database: for this one process, and not safe against power loss. For more than that use a Postgres server.`,
    );
    await before.events.run('x', 'Ada');
    await before.app.close();
    expect(existsSync(join(folder, 'nestjs-callbacks.lock'))).toBe(false);

    await startApp([Emails], options);
    await until(() => ran.length === 1);
    expect(ran).toEqual(['Ada']);
  });

  it('what is stored within one millisecond, of which its clock knows no parts, is listed in the order of storing', async () => {
    const { app, events } = await startApp([Emails], { engine: postgres({ folder }), work: false });
    const ids = Array.from({ length: 200 }, () => randomUUID());
    for (const id of ids) await events.with({ id }).run('x', 'in order');
    const deliveries = app.get(EventDeliveries);
    const listed = (await deliveries.list({ state: 'waiting', limit: 500 })).found;
    expect(listed.map(({ id }) => id)).toEqual(ids);
    await deliveries.discard({ callback: 'Emails.greet', ids });
  });

  it('a second process is refused with the pid of the first; what that leaves when it is killed is taken over', async () => {
    const first = project.start('instance.js', { args: [folder] });
    await first.printed('begun from a process');

    const second = await project.run('instance.js', { args: [folder] });
    expect(second).toEqual({
      code: 1,
      output:
        `EVENTS_ENGINE_FAILED The engine PGlite could not start: The folder ${folder} is in use by process ${first.pid}: ` +
        'an embedded database serves one process. Stop that one, choose another folder, or use a Postgres server. ' +
        'The application has not started; mend that, and start it again.\n',
    });
    await expect(startApp([Emails], { engine: postgres({ folder }) })).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
    });

    first.kill('SIGKILL');
    await first.ended;
    expect(existsSync(join(folder, 'nestjs-callbacks.lock'))).toBe(true);
    // However lately it has said that it lives.
    const left = await PGlite.create(folder);
    await left.query(`update nestjs_callbacks.events_instance set seen_on = now() + interval '1 hour'`);
    await left.close();
    await startApp([Emails], { engine: postgres({ folder }) });
    // Nobody else can be performing it.
    await until(() => ran.length === 1);
    expect(ran).toEqual(['from a process']);
  });
});

describe("With the application's own PGlite, which has one session,", () => {
  let pglite: PGlite;
  beforeAll(async () => {
    pglite = await openPGlite();
    await pglite.exec('create table notes (text text)');
  });
  afterAll(() => pglite.close());
  afterEach(async () => {
    await closeApps();
    await pglite.exec('delete from nestjs_callbacks.job');
  });

  it('C7: what a full disk may have taken all the same is not said to be lost', async () => {
    const { events } = await startApp([Emails], { engine: postgres({ pglite }) });
    const query = pglite.query.bind(pglite);
    const full = jest.spyOn(pglite, 'query').mockImplementation(async (sql, ...rest) => {
      const result = await query(sql, ...rest);
      if (sql.includes('.events_store')) throw Object.assign(new Error('No space left on device'), { code: '53100' });
      return result as never;
    });
    const error = await events.run('x', 'Ada').catch((reason: unknown) => reason);
    full.mockRestore();
    expect(error).toMatchObject({ code: 'EVENTS_STORE_UNKNOWN' });
    await until(() => ran.length === 1);
  });

  engineSuite({
    name: 'PGlite',
    engineOf: postgres,
    place: () => ({ pglite }),
    looks: { isShared: false, count: async () => countLooks() },
    own: [
      {
        what: 'a PGlite of the application',
        async open() {
          const { transaction } = pglite;
          const isAsBefore = async () => pglite.transaction === transaction && !pglite.closed;
          return { options: { pglite }, isAsBefore, close: async () => {} };
        },
      },
    ],
  });

  /** Each looks for what is due, and for claims that have expired, in one statement. */
  function countLooks() {
    const query = jest.spyOn(pglite, 'query');
    return () => query.mock.calls.filter(([sql]) => sql.includes('.events_beat_')).length;
  }
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('has its transactions watched while an application uses it', async () => {
    const { transaction } = pglite;
    const { app } = await startApp([Emails], { engine: postgres({ pglite }) });
    expect(pglite.transaction).not.toBe(transaction);
    await app.close();
    expect(pglite.transaction).toBe(transaction);
  });

  it('a run inside its transaction is refused at once rather than waiting for itself, and the transaction goes on', async () => {
    const { events } = await startApp([Emails], { engine: postgres({ pglite }) });
    await pglite.transaction(async (transaction) => {
      await transaction.query(`insert into notes values ('a')`);
      await expect(events.run('x', 'inside')).rejects.toMatchObject({
        code: 'EVENTS_STORE_FAILED',
        message: expect.stringContaining(
          'a transaction of PGlite is open here, and it has the only session that there is. ' +
            'Open it by inTransaction(), or pass it by with({ tx }), and a run is stored in it; do anything else after it.',
        ),
      });
      await transaction.query(`insert into notes values ('b')`);
      // Somebody else's run waits for the transaction, and no longer.
      setTimeout(() => void events.run('x', 'beside'), 0);
    });
    await events.run('x', 'after');
    await until(() => ran.length === 2);
    expect(ran.toSorted()).toEqual(['after', 'beside']);
    expect((await pglite.query(`select count(*)::int as count from notes where text < 'c'`)).rows).toEqual([
      { count: 2 },
    ]);
  });

  it('a long transaction holds work up, and costs no claim', async () => {
    const gate = deferred();
    const aborted: boolean[] = [];
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable' }) async go() {
        ran.push('begun');
        await gate.promise;
        aborted.push(currentEvent()!.signal.aborted);
      }
    }
    const { app, events } = await startApp([Slow], { engine: postgres({ pglite, leaseMs: 1_000 }) });
    await events.run('slow');
    await until(() => ran.length === 1);
    await pglite.transaction(async (transaction) => {
      await transaction.query('select 1');
      // Longer than a claim lasts.
      await sleep(1_200);
    });
    gate.resolve();
    const deliveries = app.get(EventDeliveries);
    await until(() => isIdle(deliveries));
    expect([ran, aborted]).toEqual([['begun'], [false]]);
  });

  it('a claim that could not be renewed in time is not taken back by the instance that holds it', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable' }) async go() {
        ran.push(currentEvent()!.delivery!.attempt);
        await gate.promise;
      }
    }
    // It looks for lost claims each second, long before it renews its own.
    const { app, events } = await startApp([Slow], { engine: postgres({ pglite, leaseMs: 3_600_000 }) });
    await events.run('slow');
    await until(() => ran.length === 1);
    await pglite.query(
      `update nestjs_callbacks.job set heartbeat_on = now() - interval '2 hours' where state = 'active'`,
    );
    const looks = countLooks();
    await until(() => looks() > 0);
    // The only session answers it before this.
    await pglite.query('select 1');
    gate.resolve();
    const deliveries = app.get(EventDeliveries);
    await until(() => isIdle(deliveries));
    expect(ran).toEqual([1]);
  });

  it("a callback's own transaction can complete its delivery, once for all", async () => {
    @Injectable()
    class Notes {
      @Callback('note', { delivery: 'durable', retry: { delayMs: 0 } }) async write(text: string) {
        const { delivery } = currentEvent()!;
        await pglite.transaction(async (transaction) => {
          await transaction.query('insert into notes values ($1)', [`${text} ${delivery!.attempt}`]);
          await delivery!.completeIn(transaction);
          if (delivery!.attempt === 1) throw new Error('before the commit');
        });
        ran.push(delivery!.attempt);
        // Too late to fail: it has happened.
        throw new Error('after the commit');
      }
    }
    const { app, events } = await startApp([Notes], { engine: postgres({ pglite }) });
    await events.run('note', 'written');
    await until(() => ran.length === 1);
    const deliveries = app.get(EventDeliveries);
    await until(() => isIdle(deliveries));
    expect((await deliveries.list()).found).toEqual([]);
    expect((await pglite.query(`select text from notes where text like 'written%'`)).rows).toEqual([
      { text: 'written 2' },
    ]);
  });
});
