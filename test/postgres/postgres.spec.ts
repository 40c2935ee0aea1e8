/** What only the Postgres engine promises: servers that fail, schemas, pools, and what lies in the database. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import type { DurableCallback, DurableEngine, NewDelivery } from 'nestjs-callbacks/engine';
import { Callback, currentEvent, EventDeliveries, type EventsOptions } from 'nestjs-callbacks';
import { postgres, type PostgresOptions, schemaSql } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { PgBoss, TestClock } from 'pg-boss';
import { uuidv7 } from 'uuidv7';
import { closeApps, deferred, firstLines, startApp, until } from '../support/app.js';
import { Project } from '../support/child-process.js';
import { killWhilePerforming } from '../support/killed-instance.js';
import { findServerPrograms, PrivatePostgres } from '../support/private-postgres.mjs';
import { describeWith, findPostgres } from '../support/servers.js';

let ran: unknown[];
beforeEach(() => {
  ran = [];
});
afterEach(closeApps);

@Injectable()
class Emails {
  @Callback('x', { delivery: 'durable', retry: { attempts: 2, delayMs: 0 } }) async greet(what: unknown) {
    ran.push(what);
    if (what === 'fails') throw new Error('always');
  }
}

@Injectable()
class Ordered {
  @Callback('ordered', { delivery: 'durable', ordered: true }) async greet(what: unknown) {
    ran.push(what);
  }
}

const withEngine = (engine: PostgresOptions, more?: EventsOptions) => ({ engine: postgres(engine), ...more });

describe('postgres()', () => {
  it.each<[any, string]>([
    [
      {},
      'postgres() was given no database. Pass one of { connectionString }, { pool }, { folder } and { pglite }; of connectionString and folder both, to use the folder where there is no server.',
    ],
    [
      { folder: '.data', pglite: { query() {}, exec() {}, transaction() {}, listen() {} } },
      'postgres() was given folder and pglite. Pass one of { connectionString }, { pool }, { folder } and { pglite }; of connectionString and folder both, to use the folder where there is no server.',
    ],
    [{ pool: 'postgres://' }, "postgres() was given a wrong pool. Pass a Pool of node-postgres ('pg')."],
    [
      { pool: new pg.Pool({ max: 1 }) },
      'postgres() was given a pool of 1, and listening alone takes one. Let it have 3 or more.',
    ],
    [
      { folder: '.', schema: 'My Schema' },
      'postgres() was given a wrong schema. Pass a name of small letters, digits and _, at most 50.',
    ],
    [
      { folder: '.', leaseMs: 500 },
      'postgres() was given a wrong leaseMs. Pass milliseconds, a multiple of 1000, 24 days at most.',
    ],
    [
      { folder: '.', keepFor: 5 },
      'postgres() has no option keepFor. There are connectionString, pool, folder, pglite, schema, migrate, leaseMs, storeTimeoutMs, keepCompletedMs, connections.',
    ],
  ])('refuses %p at boot', async (options, message) => {
    await expect(startApp([Emails], withEngine(options))).rejects.toMatchObject({
      code: 'EVENTS_OPTION_INVALID',
      message: `EventsModule was configured with a wrong engine: ${message}`,
    });
  });

  it('says at boot that the server is not there', async () => {
    const connectionString = 'postgres://postgres@127.0.0.1:1/nothing';
    await expect(startApp([Emails], withEngine({ connectionString }))).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
      message: expect.stringMatching(/^The engine Postgres could not start: no connection: .*ECONNREFUSED 127.0.0.1:1/),
    });
  });
});

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  let pool: pg.Pool;
  let schema: string;
  let schemas = 0;
  beforeAll(() => {
    pool = new pg.Pool({ connectionString, max: 8 });
  });
  afterAll(() => pool.end());
  beforeEach(() => {
    schema = `specs_${process.pid}_${++schemas}`;
  });
  afterEach(async () => {
    await closeApps();
    await pool.query(`drop schema if exists ${schema} cascade`);
  });

  const engines: DurableEngine[] = [];
  afterEach(async () => {
    for (const engine of engines.splice(0)) await engine.stop();
  });

  const callbackOf = (options: Partial<DurableCallback> = {}): DurableCallback => ({
    event: 'x',
    callback: 'A.a',
    formerly: [],
    isOrdered: false,
    concurrency: 10,
    ...options,
  });

  const deliveryOf = (options: Partial<NewDelivery> = {}): NewDelivery => ({
    event: 'x',
    callback: 'A.a',
    id: uuidv7(),
    arguments: [],
    delayMs: 0,
    ...options,
  });

  /** An instance without an application around it. */
  async function open(callbacks: DurableCallback[], options: PostgresOptions = { pool }): Promise<DurableEngine> {
    const engine = postgres({ schema, ...options })();
    engines.push(engine);
    await engine.start({ log() {}, warn() {}, report() {} });
    await engine.declare(callbacks);
    return engine;
  }

  const failure = { name: 'Error', message: 'no' };

  async function inTransaction(work: (client: pg.PoolClient) => Promise<void>) {
    const client = await pool.connect();
    try {
      await client.query('begin');
      await work(client);
      await client.query('commit');
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  }

  it('eight instances may start at once on an empty database', async () => {
    const project = new Project();
    try {
      project.write(
        'instance.ts',
        `import 'reflect-metadata';
        import { Injectable, Module } from '@nestjs/common';
        import { NestFactory } from '@nestjs/core';
        import { Callback, EventDeliveries, EventRunner, EventsModule } from 'nestjs-callbacks';
        import { postgres } from 'nestjs-callbacks/postgres';

        @Injectable()
        class Emails {
          @Callback('x', { delivery: 'durable' }) greet(who) { console.log('greets', who); }
          @Callback('y', { delivery: 'durable', ordered: true }) inOrder() {}
        }
        const engine = postgres({ connectionString: process.env.DATABASE_URL, schema: process.env.SCHEMA });
        @Module({ imports: [EventsModule.forRoot({ engine })], providers: [Emails] })
        class AppModule {}
        const app = await NestFactory.createApplicationContext(AppModule, { logger: ['warn', 'error'] });
        await app.get(EventRunner).run('x', process.argv[2]);
        const isOpen = ({ waiting, delayed, running }) => waiting + delayed + running > 0;
        while ((await app.get(EventDeliveries).counts()).some(isOpen)) await new Promise((resolve) => setTimeout(resolve, 100));
        await app.close();`,
      );
      const env = { DATABASE_URL: connectionString, SCHEMA: schema };
      const names = Array.from({ length: 8 }, (_, index) => `Ada ${index}`);
      const ended = await Promise.all(names.map((name) => project.run('instance.js', { args: [name], env })));

      expect(ended.map(({ code }) => code)).toEqual(Array(8).fill(0));
      const lines = ended.flatMap(({ output }) => output.trim().split('\n')).filter(Boolean);
      expect(lines.toSorted()).toEqual(names.map((name) => `greets ${name}`));
    } finally {
      project.remove();
    }
  });

  it('a role without the right to change the schema can work with one that somebody else has made', async () => {
    const role = `worker_of_${schema}`;
    await pool.query(await schemaSql(schema));
    await pool.query(`create role ${role} login`);
    try {
      await pool.query(`
        grant usage on schema ${schema} to ${role};
        grant select, insert, update, delete on all tables in schema ${schema} to ${role};
        grant execute on all functions in schema ${schema} to ${role};`);
      const url = new URL(connectionString);
      url.username = role;
      url.password = '';
      const { events, app, log } = await startApp(
        [Emails, Ordered],
        withEngine({ connectionString: url.href, schema, migrate: false }),
      );
      await events.run('x', 'Ada');
      await events.with({ key: 'k' }).run('ordered', 'Bob');
      await until(() => ran.length === 2);
      await events.run('x', 'fails');
      await until(async () => (await app.get(EventDeliveries).list()).length === 1);
      await app.close();
      expect(log.of('error').filter((line) => !line.includes('Emails.greet failed'))).toEqual([]);
    } finally {
      await pool.query(`drop owned by ${role}; drop role ${role};`);
    }
  });

  it('with migrate: false, a schema that is not there is said to be so', async () => {
    await expect(startApp([Emails], withEngine({ pool, schema, migrate: false }))).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
      message: expect.stringContaining(`could not start: the schema "${schema}" has no tables. Run what schemaSql()`),
    });
  });

  it("the application's own pool serves, and a connection that breaks while idle ends nothing", async () => {
    const own = new pg.Pool({ connectionString, max: 4, application_name: schema });
    const { app, events } = await startApp([Emails, Ordered], withEngine({ pool: own, schema }));
    await events.run('x', 1);
    await until(() => ran.length === 1);
    await pool.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [schema]);
    await until(() =>
      events.run('x', 2).then(
        () => true,
        () => false,
      ),
    );
    await until(() => ran.length === 2);
    const { rows } = await pool.query('select 1 from pg_stat_activity where application_name = $1', [schema]);
    expect(rows.length).toBeLessThanOrEqual(4);
    await app.close();
    // It is the application's to end.
    expect((await own.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    expect(own.listenerCount('error')).toBe(0);
    await own.end();
  });

  it('what is stored can be read', async () => {
    const { events } = await startApp([Emails], withEngine({ pool, schema }, { work: false }));
    await events.with({ key: 'Ada' }).run('x', { at: new Date(0), list: new Set([1n]), text: 'a\0b' });
    const { rows } = await pool.query(`select name, data, singleton_key from ${schema}.job`);
    expect(rows).toEqual([
      {
        name: 'x/Emails.greet',
        singleton_key: 'Ada',
        data: {
          event: 'x',
          key: 'Ada',
          arguments: [
            {
              at: { $type: 'Date', value: '1970-01-01T00:00:00.000Z' },
              list: { $type: 'Set', value: [{ $type: 'BigInt', value: '1' }] },
              text: { $type: 'String', value: 'a\\u0000b' },
            },
          ],
        },
      },
    ]);
  });

  it('names of events and callbacks may be any text', async () => {
    @Injectable()
    class Odd {
      @Callback('bestellt: "€/5" --', { delivery: 'durable', id: "Überweisung.go 'now'" }) go(what: string) {
        ran.push(what);
      }
    }
    const { app, events } = await startApp([Odd], withEngine({ pool, schema }));
    await events.run('bestellt: "€/5" --', 'Ada');
    await until(() => ran.length === 1);
    await events.with({ delayMs: 60_000 }).run('bestellt: "€/5" --', 'Ada');
    expect(await app.get(EventDeliveries).counts()).toMatchObject([
      { event: 'bestellt: "€/5" --', callback: "Überweisung.go 'now'", delayed: 1, isKnown: true },
    ]);
  });

  it('what pg-boss itself writes down of a delivery is listed as an error like any other', async () => {
    const engine = await open([callbackOf()]);
    await engine.store([deliveryOf()]);
    await pool.query(`update ${schema}.job set output = '{ "value": { "message": "job heartbeat timeout" } }'`);
    const [delivery] = await engine.list({ states: ['waiting'], limit: 1 });
    expect(delivery.error).toEqual({ name: 'Error', message: 'job heartbeat timeout' });
  });

  it('times are dates, however the pool reads them', async () => {
    const getTypeParser = (id: number, format?: 'text') =>
      id === pg.types.builtins.TIMESTAMPTZ ? (text: string) => text : pg.types.getTypeParser(id, format);
    const own = new pg.Pool({ connectionString, types: { getTypeParser: getTypeParser as never } });
    const engine = await open([callbackOf()], { pool: own });
    const before = Date.now();
    await engine.store([deliveryOf({ delayMs: 60_000 })]);
    const [{ storedAt, since }] = await engine.list({ states: ['waiting'], limit: 1 });
    expect([storedAt, since]).toEqual([expect.any(Date), expect.any(Date)]);
    expect(Math.abs(since.getTime() - storedAt.getTime() - 60_000)).toBeLessThanOrEqual(1);
    expect(Math.abs(storedAt.getTime() - before)).toBeLessThan(60_000);
    await engine.stop();
    await own.end();
  });

  it('a run that the database refuses does not take down those that are stored with it', async () => {
    const { events } = await startApp([Emails], withEngine({ pool, schema }));
    await pool.query(`
      create function ${schema}.refuse() returns trigger language plpgsql as $$ begin
        if new.data->'arguments'->>0 = 'poison' then raise exception 'poison'; end if; return new; end $$;
      create trigger refuse before insert on ${schema}.job_common for each row execute function ${schema}.refuse();`);
    const results = await Promise.allSettled(['a', 'poison', 'b', 'c'].map((what) => events.run('x', what)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'EVENTS_STORE_FAILED', cause: { message: 'poison' } } });
    await until(() => ran.length === 3);
    expect(ran.toSorted()).toEqual(['a', 'b', 'c']);
  });

  it('a queue that somebody has deleted is made again', async () => {
    const { events } = await startApp([Emails, Ordered], withEngine({ pool, schema }));
    await pool.query(
      `select ${schema}.delete_queue('x/Emails.greet'), ${schema}.delete_queue('ordered/Ordered.greet/ordered')`,
    );
    await events.run('x', 'Ada');
    await events.with({ key: 'k' }).run('ordered', 'Bob');
    await until(() => ran.length === 2);
  });

  it('in a transaction, a queue that somebody has deleted fails the storing, and not the commit', async () => {
    const engine = postgres({ pool, schema })();
    await engine.start({ log() {}, warn() {}, report() {} });
    const address = { event: 'x', callback: 'Emails.greet' };
    await engine.declare([{ ...address, formerly: [], isOrdered: false, concurrency: 1 }]);
    await pool.query(`select ${schema}.delete_queue('x/Emails.greet')`);
    const delivery = { ...address, id: '01a20e92-6ccb-7000-8000-000000000000', arguments: [], delayMs: 0 };
    try {
      await inTransaction(async (client) => {
        await expect(engine.store([delivery], client)).rejects.toThrow(
          'somebody has deleted the queue x/Emails.greet from the database',
        );
        await client.query('select 1');
      });
      await engine.store([delivery]);
      await inTransaction((client) => engine.store([delivery], client));
      expect(await engine.counts()).toMatchObject([{ waiting: 1 }]);
    } finally {
      await engine.stop();
    }
  });

  it('an attempt whose own transaction is open when its time is over holds up the end of no other', async () => {
    const mayEnd = deferred();
    const begun: string[] = [];

    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable', timeoutMs: 300, retry: { attempts: 3, delayMs: 1_000 } })
      async go(name: string) {
        begun.push(name);
        if (name === 'fails') {
          // Until the other one's time is over.
          await new Promise((resolve) => setTimeout(resolve, 400));
          throw new Error('always');
        }
        const client = await pool.connect();
        await client.query('begin');
        await currentEvent()!.delivery!.completeIn(client);
        await mayEnd.promise;
        await client.query('commit');
        client.release();
      }
    }
    const { app, events } = await startApp([Slow], withEngine({ connectionString, schema }));
    await events.run('slow', 'holds');
    await until(() => begun.length === 1);
    await events.run('slow', 'fails');
    let waits = 0;
    try {
      await until(async () => {
        const { rows } = await pool.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%${schema}.job%'`,
        );
        waits += rows.length;
        return begun.filter((name) => name === 'fails').length === 2;
      });
    } finally {
      mayEnd.resolve();
    }
    expect([waits, begun.filter((name) => name === 'holds').length]).toEqual([0, 1]);
    const deliveries = app.get(EventDeliveries);
    await until(async () => (await deliveries.list({ state: 'running' })).length === 0);
    expect(begun.filter((name) => name === 'holds')).toHaveLength(1);
  });

  it('a deadlock of keys reaches the one whom the database chooses', async () => {
    const engine = postgres({ pool, schema })();
    await engine.start({ log() {}, warn() {}, report() {} });
    const address = { event: 'ordered', callback: 'Ordered.greet' };
    await engine.declare([{ ...address, formerly: [], isOrdered: true, concurrency: 1 }]);
    let ids = 0;
    const delivery = (key: string) => ({
      ...address,
      key,
      id: `01a20e92-6ccb-7000-8000-00000000000${++ids}`,
      arguments: [],
      delayMs: 0,
    });
    try {
      const bothHold = [deferred(), deferred()];
      const results = await Promise.allSettled(
        ['ab', 'ba'].map((keys, index) =>
          inTransaction(async (client) => {
            await engine.store([delivery(keys[0])], client);
            bothHold[index].resolve();
            await Promise.all(bothHold.map(({ promise }) => promise));
            await engine.store([delivery(keys[1])], client);
          }),
        ),
      );
      expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: '40P01' } });
      expect(await engine.counts()).toMatchObject([{ waiting: 2 }]);
    } finally {
      await engine.stop();
    }
  });

  it('a callback that becomes ordered, or is no longer, keeps its waiting and dead deliveries', async () => {
    const options = withEngine({ pool, schema });
    const before = await startApp([Emails], options);
    await before.events.with({ key: 'k' }).run('x', 'fails');
    await until(async () => (await before.app.get(EventDeliveries).list()).length === 1);
    for (const what of [1, 2, 3]) await before.events.with({ key: 'k', delayMs: 600 }).run('x', what);
    await before.events.with({ delayMs: 600 }).run('x', 'without a key');
    await before.app.close();

    @Injectable()
    class NowOrdered {
      @Callback('x', { delivery: 'durable', ordered: true, id: 'Emails.greet' }) async greet(what: unknown) {
        ran.push(what);
      }
    }
    const after = await startApp([NowOrdered], options);
    const deliveries = after.app.get(EventDeliveries);
    await until(async () => (await deliveries.counts())[0].delayed === 0);
    // The dead one holds up its key.
    await until(() => ran.includes('without a key'));
    expect(await deliveries.counts()).toMatchObject([{ waiting: 3, dead: 1 }]);
    ran = [];
    await deliveries.retry();
    await until(() => ran.length === 4);
    expect(ran).toEqual(['fails', 1, 2, 3]);
    await after.events.with({ key: 'k', delayMs: 600 }).run('x', 'again');
    await after.app.close();

    await startApp([Emails], options);
    await until(() => ran.length === 5);
  });

  it('a retry is on time though another key waits behind a dead delivery', async () => {
    const query = jest.spyOn(pg.Client.prototype, 'query');
    const sweeps: number[] = [];
    const swept = (query as unknown as jest.Mock<(sql: unknown) => unknown>).mock;
    const looks = () => swept.calls.filter(([sql]) => String(sql).includes('expired as')).length;
    try {
      const ordered = callbackOf({ isOrdered: true });
      const engine = await open([ordered]);
      engine.work(ordered, async (attempt) => {
        if (attempt.delivery.key === 'dead') return void (await attempt.bury(failure));
        if (attempt.attempt === 1) {
          // Due in the middle between two looks at what is due.
          const before = looks();
          await until(() => looks() > before);
          await attempt.retryIn(2_500, failure);
          sweeps.push(looks());
        } else {
          sweeps.push(looks());
          await attempt.complete();
        }
      });
      await engine.store([deliveryOf({ key: 'dead' })]);
      await engine.store([deliveryOf({ key: 'dead' })]);
      await until(async () => (await engine.counts())[0].dead === 1);
      await engine.store([deliveryOf({ key: 'k' })]);
      await until(() => sweeps.length === 2);
      // A third would have had to find it.
      expect(sweeps[1] - sweeps[0]).toBeLessThanOrEqual(2);
    } finally {
      query.mockRestore();
    }
  });

  it('a callback that becomes ordered keeps the dead deliveries of one key, one behind the other', async () => {
    const before = await open([callbackOf()]);
    before.work(callbackOf(), async (attempt) => {
      await attempt.bury(failure);
    });
    const [first, second, third] = [1, 2, 3].map((what) => deliveryOf({ key: 'k', arguments: [what] }));
    await before.store([first]);
    await before.store([second]);
    await until(async () => (await before.counts())[0].dead === 2);
    await before.stopWorking();
    await before.store([third]);

    const ordered = callbackOf({ isOrdered: true });
    const after = await open([ordered]);
    after.work(ordered, async (attempt) => {
      ran.push(attempt.delivery.arguments[0]);
      await attempt.complete();
    });
    expect(await after.counts()).toMatchObject([{ waiting: 1, dead: 2 }]);
    await after.retry({ ids: [first.id] });
    await until(() => ran.length === 1);
    // The second has taken the place of the first, and holds up the third.
    await until(
      async () =>
        (await pool.query(`select 1 from ${schema}.job where name like '%/ordered' and state <> 'completed'`))
          .rowCount === 2,
    );
    await after.retry({});
    await until(() => ran.length === 3);
    expect(ran).toEqual([1, 2, 3]);
  });

  it('what cannot be moved from a former name keeps nothing else from its turn', async () => {
    const [former, other] = [callbackOf(), callbackOf({ callback: 'C.c' })];
    const older = await open([former, other]);
    const renamed = callbackOf({ callback: 'B.b', formerly: ['A.a'] });
    const newer = await open([renamed]);
    await newer.declare([other]);
    newer.work(renamed, (attempt) => attempt.complete().then(() => {}));
    newer.work(other, async (attempt) => {
      ran.push('C.c');
      await attempt.complete();
    });
    await pool.query(`
      create function ${schema}.refuse() returns trigger language plpgsql as $$ begin
        if new.name = 'x/B.b' then raise exception 'not here'; end if; return new; end $$;
      create trigger refuse before insert on ${schema}.job_common for each row execute function ${schema}.refuse();`);
    await older.store([deliveryOf(), deliveryOf({ callback: 'C.c', delayMs: 1_200 })]);
    await until(() => ran.length === 1);
    expect(await newer.counts()).toContainEqual(expect.objectContaining({ callback: 'A.a', waiting: 1 }));
  });

  it('what is stored under a former name stays there while the queue of the new one is missing', async () => {
    const older = await open([callbackOf()]);
    const newer = await open([callbackOf({ callback: 'B.b', formerly: ['A.a'] })]);
    await pool.query(`select ${schema}.delete_queue('x/B.b')`);
    await older.store([deliveryOf()]);
    // It looks for former names again.
    await newer.declare([]);
    expect(await newer.counts()).toMatchObject([{ callback: 'A.a', waiting: 1 }]);
  });

  it('what waits or is dead is kept for ever, what is completed for keepCompletedMs', async () => {
    const { app, events } = await startApp([Emails], withEngine({ pool, schema, keepCompletedMs: 60_000 }));
    const deliveries = app.get(EventDeliveries);
    await events.run('x', 'done');
    await events.run('x', 'fails');
    await until(async () => (await deliveries.list()).length === 1);
    await until(async () => (await deliveries.counts())[0].running === 0);
    await app.close();
    const later = await startApp([Emails], withEngine({ pool, schema }, { work: false }));
    await later.events.run('x', 'waits');
    await later.app.close();
    const states = async () =>
      (await pool.query(`select state from ${schema}.job order by state`)).rows.map(({ state }) => state as string);
    expect(await states()).toEqual(['created', 'completed', 'failed']);

    const clock = new TestClock();
    const boss = new PgBoss({ connectionString, schema, clock, schedule: false, supervise: false });
    boss.on('error', () => {});
    await boss.start();
    await clock.setTime(Date.now() + 50 * 365 * 24 * 60 * 60 * 1_000);
    await boss.supervise();
    await boss.stop({ graceful: false });

    expect(await states()).toEqual(['created', 'failed']);
  });

  it('what an instance was doing when it was killed is done by another, within the lease and a second', async () => {
    const engine =
      'postgres({ connectionString: process.env.DATABASE_URL, schema: process.env.SCHEMA, leaseMs: 2_000 })';
    await killWhilePerforming(engine, { DATABASE_URL: connectionString, SCHEMA: schema });
    @Injectable()
    class Same {
      @Callback('x', { delivery: 'durable', id: 'Emails.greet' }) greet(who: string) {
        ran.push(`${who}, attempt ${currentEvent()!.delivery!.attempt}`);
      }
    }
    await startApp([Same], withEngine({ pool, schema, leaseMs: 2_000 }));
    await until(() => ran.length === 1);
    expect(ran).toEqual(['Ada, attempt 2']);
  });
});

describeWith('With a Postgres server that fails (pg_ctl and initdb)', findServerPrograms(), () => {
  let server: PrivatePostgres;
  beforeAll(async () => {
    server = await PrivatePostgres.start();
  });
  afterAll(() => server.remove());

  it('a run fails at once while it is stopped, and work goes on when it is back', async () => {
    // Longer than a test may take: nothing here fails by waiting for it.
    const options = withEngine({ connectionString: server.url, storeTimeoutMs: 600_000 });
    const { events, log } = await startApp([Emails, Ordered], options);
    await events.run('x', 1);
    await until(() => ran.length === 1);
    await server.stop();

    const outcomes = await Promise.allSettled([1, 2, 3].map(() => events.run('x', 'lost')));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        reason: { code: 'EVENTS_STORE_FAILED', message: expect.stringContaining('no connection') },
      });
    }

    await until(() => log.of('error').some((line) => line.startsWith('Postgres does not work')));
    await server.start();
    await until(() =>
      events.run('x', 2).then(
        () => true,
        () => false,
      ),
    );
    await until(() => ran.length === 2);
    await until(() => log.of('log').some((line) => line.startsWith('Postgres works again, after ')));
    expect(firstLines(log.of('error')).filter((line) => line.startsWith('Postgres does not work'))).toHaveLength(1);
  });

  it('a run to a frozen one fails within storeTimeoutMs, with the outcome unknown; the same id makes sure', async () => {
    const options = withEngine({ connectionString: server.url, schema: 'frozen', storeTimeoutMs: 1_000 });
    const { events } = await startApp([Emails], options);
    await events.run('x', 1);
    await until(() => ran.length === 1);
    server.freeze();
    let error: { code: string; id: string } | undefined;
    try {
      await events.run('x', 2).catch((reason: typeof error) => (error = reason));
      expect(error).toMatchObject({ code: 'EVENTS_STORE_UNKNOWN' });
    } finally {
      server.thaw();
    }
    await until(() =>
      events
        .with({ id: error!.id })
        .run('x', 2)
        .then(
          () => true,
          () => false,
        ),
    );
    await until(() => ran.length === 2);
    expect(ran).toEqual([1, 2]);
  });

  it('many runs to a frozen one wait for storeTimeoutMs and no longer, and those never sent are surely not stored', async () => {
    const options = { connectionString: server.url, schema: 'crowded', storeTimeoutMs: 2_000 };
    const { events } = await startApp([Emails], withEngine(options, { work: false }));
    await events.run('x', 1);
    server.freeze();
    try {
      const startedAt = performance.now();
      const waits: number[] = [];
      const codes = await Promise.all(
        Array.from({ length: 1_500 }, async (_, index) => {
          const error = await events.run('x', index).catch((reason: { code: string }) => reason);
          waits.push(performance.now() - startedAt);
          return (error as { code: string }).code;
        }),
      );
      // One after the other, the eight statements that they take would wait for 16 s.
      expect(Math.max(...waits)).toBeLessThan(12_000);
      expect(new Set(codes)).toEqual(new Set(['EVENTS_STORE_UNKNOWN', 'EVENTS_STORE_FAILED']));
    } finally {
      server.thaw();
    }
  });

  it('an attempt that ends while it is away is completed when it is back, and does not run twice', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable' }) async go() {
        ran.push(currentEvent()!.delivery!.attempt);
        await gate.promise;
      }
    }
    const { app, events } = await startApp([Slow], withEngine({ connectionString: server.url, schema: 'slow' }));
    await events.run('slow');
    await until(() => ran.length === 1);
    await server.stop();
    gate.resolve();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await server.start();
    const deliveries = app.get(EventDeliveries);
    await until(() =>
      deliveries.counts().then(
        ([{ running }]) => running === 0,
        () => false,
      ),
    );
    expect(ran).toEqual([1]);
    expect(await deliveries.counts()).toMatchObject([{ waiting: 0, delayed: 0, dead: 0 }]);
  });

  it('a broken connection that listens is made again', async () => {
    const options = withEngine({ connectionString: server.url, schema: 'listens' });
    const { events } = await startApp([Emails], options);
    const admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    const listening = `select pid from pg_stat_activity where query like 'listen "listens%' or query = 'select 1' and application_name = 'nestjs-callbacks'`;
    const before = (await admin.query(listening)).rows as { pid: number }[];
    await admin.query('select pg_terminate_backend($1)', [before[0].pid]);
    await until(async () => {
      const after = (await admin.query(listening)).rows as { pid: number }[];
      return after.length > 0 && after[0].pid !== before[0].pid;
    });
    await admin.end();
    await events.run('x', 'Ada');
    await until(() => ran.length === 1);
  });
});
