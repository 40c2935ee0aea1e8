/** What the Postgres engine promises on PGlite: one process a folder, nothing lost, and no waiting for oneself. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, EventDeliveries, EventRunner } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { lockFolder } from '../../lib/postgres/connection/folder-lock.js';
import { closeApps, deferred, startApp, until } from '../support/app.js';
import { Project } from '../support/child-process.js';

let ran: unknown[];
beforeEach(() => {
  ran = [];
});
afterEach(closeApps);

@Injectable()
class Emails {
  @Callback('x', { delivery: 'durable' }) async greet(what: unknown) {
    ran.push(what);
  }
}

describe('In a folder', () => {
  let folder: string;
  let project: Project;
  beforeAll(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'pglite-')), 'deliveries');
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
  afterAll(() => {
    project.remove();
    rmSync(join(folder, '..'), { recursive: true });
  });

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

  it('a second process is refused with the pid of the first; what that leaves when it is killed is taken over', async () => {
    const first = project.start('instance.js', { args: [folder] });
    await until(() => first.output.includes('begun from a process'));

    const second = await project.run('instance.js', { args: [folder] });
    expect(second).toEqual({
      code: 1,
      output:
        `EVENTS_ENGINE_FAILED The engine Postgres could not start: The folder ${folder} is in use by process ${first.pid}: ` +
        'an embedded database serves one process. Stop that one, choose another folder, or use a Postgres server. ' +
        'The application has not started; mend that, and start it again.\n',
    });
    await expect(startApp([Emails], { engine: postgres({ folder }) })).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
    });

    first.kill('SIGKILL');
    await first.ended;
    expect(existsSync(join(folder, 'nestjs-callbacks.lock'))).toBe(true);
    await startApp([Emails], { engine: postgres({ folder }) });
    // Nobody else can be performing it.
    await until(() => ran.length === 1);
    expect(ran).toEqual(['from a process']);
  });
});

describe('The lock of a folder', () => {
  let folder: string;
  let file: string;
  const holder = (change: object) =>
    JSON.stringify({ pid: process.pid, host: hostname(), started: 'never', ...change });
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'lock-')), 'deliveries');
    mkdirSync(folder);
    file = join(folder, 'nestjs-callbacks.lock');
  });
  afterEach(() => rmSync(join(folder, '..'), { recursive: true }));

  it('is refused to a second one in this process, and free again afterwards', async () => {
    const unlock = await lockFolder(folder);
    await expect(lockFolder(folder)).rejects.toThrow(`is in use by process ${process.pid}: an embedded`);
    unlock();
    (await lockFolder(folder))();
  });

  it('is one, by whatever path the folder is reached', async () => {
    const link = join(folder, '..', 'link');
    symlinkSync(folder, link);
    const unlock = await lockFolder(folder);
    await expect(lockFolder(link)).rejects.toThrow(`is in use by process ${process.pid}: an embedded`);
    unlock();
    (await lockFolder(link))();
  });

  it('is not given up by one who has lost it to another', async () => {
    const unlock = await lockFolder(folder);
    rmSync(file);
    const unlockOther = await lockFolder(folder);
    unlock();
    expect(existsSync(file)).toBe(true);
    unlockOther();
    expect(existsSync(file)).toBe(false);
  });

  it('is taken over though somebody died while taking it over', async () => {
    writeFileSync(file, holder({ pid: 2 ** 22 + 1 }));
    mkdirSync(`${file}.takeover`);
    const longAgo = new Date(Date.now() - 20_000);
    utimesSync(`${file}.takeover`, longAgo, longAgo);
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(existsSync(`${file}.takeover`)).toBe(false);
  });

  it('goes to one of many who ask at once', async () => {
    writeFileSync(file, holder({ pid: 2 ** 22 + 1 }));
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it.each<[string, object]>([
    ['a process that is no more', { pid: 2 ** 22 + 1 }],
    ['a process whose id another has now', {}],
    ['nobody', { pid: 0 }],
  ])('of %s is taken over', async (_, change) => {
    writeFileSync(file, holder(change));
    const unlock = await lockFolder(folder);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid });
    unlock();
  });

  it('of another host is respected while it gives signs of life', async () => {
    writeFileSync(file, holder({ host: 'elsewhere', pid: 7 }));
    await expect(lockFolder(folder)).rejects.toThrow('is in use by process 7 of elsewhere');
    const longAgo = new Date(Date.now() - 120_000);
    utimesSync(file, longAgo, longAgo);
    (await lockFolder(folder))();
  });

  it('that its writer did not live to fill is taken over after a while', async () => {
    writeFileSync(file, '');
    const longAgo = new Date(Date.now() - 20_000);
    utimesSync(file, longAgo, longAgo);
    (await lockFolder(folder))();
  });

  it('is not taken for one when it is something else', async () => {
    writeFileSync(file, 'my shopping list');
    await expect(lockFolder(folder)).rejects.toThrow(
      'nestjs-callbacks.lock is not a lock of this package. Look at what made it',
    );
  });
});

describe("With the application's own PGlite, which has one session,", () => {
  let pglite: PGlite;
  beforeAll(async () => {
    pglite = await PGlite.create();
    await pglite.exec('create table notes (text text)');
  });
  afterAll(() => pglite.close());

  it('a run inside its transaction is refused at once rather than waiting for itself, and the transaction goes on', async () => {
    const { events } = await startApp([Emails], { engine: postgres({ pglite }) });
    await pglite.transaction(async (transaction) => {
      await transaction.query(`insert into notes values ('a')`);
      await expect(events.run('x', 'inside')).rejects.toMatchObject({
        code: 'EVENTS_STORE_FAILED',
        message: expect.stringContaining(
          'a transaction of PGlite is open here, and it has the only session that there is. Do this after the transaction.',
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
      await new Promise((resolve) => setTimeout(resolve, 2_500));
    });
    gate.resolve();
    const deliveries = app.get(EventDeliveries);
    await until(async () => (await deliveries.counts()).every(({ running, waiting }) => running + waiting === 0));
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
    const query = jest.spyOn(pglite, 'query');
    const looks = () => query.mock.calls.filter(([sql]) => sql.includes('expired as')).length;
    await until(() => looks() >= 2);
    query.mockRestore();
    gate.resolve();
    const deliveries = app.get(EventDeliveries);
    await until(async () => (await deliveries.counts()).every(({ running, waiting }) => running + waiting === 0));
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
    await until(async () =>
      (await deliveries.counts()).every(({ running, waiting, delayed }) => running + waiting + delayed === 0),
    );
    expect(await deliveries.list()).toEqual([]);
    expect((await pglite.query(`select text from notes where text like 'written%'`)).rows).toEqual([
      { text: 'written 2' },
    ]);
  });

  it('the application closes without closing it, and leaves it as it was', async () => {
    const { transaction } = pglite;
    const { app, events } = await startApp([Emails], { engine: postgres({ pglite }) });
    expect(pglite.transaction).not.toBe(transaction);
    await app.get(EventRunner).run('x', 1);
    await until(() => ran.length === 1);
    await app.close();
    expect(pglite.transaction).toBe(transaction);
    expect(pglite.closed).toBe(false);
    await expect(events.run('x', 2)).rejects.toMatchObject({ code: 'EVENTS_CLOSED' });
  });
});
