/** What claims on a Postgres server cost nobody: answers that never come, slow lines, keys that wait behind others. */
import { randomBytes } from 'node:crypto';
import { afterEach, expect, it } from '@jest/globals';
import { type EngineAttempt, timers } from 'nestjs-callbacks/engine';
import pg from 'pg';
import { Proxy } from '../infra/proxy.mjs';
import { until } from '../support/app.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { callbackOf, deliveryOf, sceneOn } from './scene.js';

const CLAIMS = '.events_claim_';
const failure = { name: 'Error', message: 'no' };

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    await scene.end();
    for (const end of ends.splice(0)) await end();
  });

  /** Performs deliveries, and writes down which attempts that were. */
  const completing = (attempts: unknown[]) => async (attempt: EngineAttempt) => {
    attempts.push([attempt.delivery.arguments[0], attempt.attempt, attempt.charged]);
    await attempt.complete();
  };

  it('C26: what was claimed without an answer is charged to nobody, and comes back', async () => {
    let unanswered = 0;
    /** The first claims that it sends find something, and nobody hears of it. */
    class Forgetful extends pg.Client {
      override async query(...[query, params]: any[]): Promise<any> {
        const result = await super.query(query as pg.QueryConfig, params as unknown[]);
        if (!String(query.text).includes(CLAIMS) || !params || result.rows.length === 0 || unanswered === 3)
          return result;
        unanswered++;
        return new Promise(() => {});
      }
    }
    // Each of those keeps its place for a while: who knows what the server does there.
    const pool = new pg.Pool({ connectionString, max: 8, Client: Forgetful });
    ends.push(() => pool.end());
    const attempts: unknown[] = [];
    const engine = await scene.open([callbackOf()], { pool, leaseMs: 2_000 });
    await engine.store([deliveryOf({ arguments: ['a'] }), deliveryOf({ arguments: ['b'] })]);
    engine.work(callbackOf(), completing(attempts));
    await until(() => attempts.length === 2);
    expect(unanswered).toBe(3);
    expect(attempts).toEqual([
      ['a', 1, 1],
      ['b', 1, 1],
    ]);
    await until(async () => (await engine.counts()).every(({ running, dead }) => running + dead === 0));
  });

  it('C26: a lock on the whole store, five times and longer than a claim waits, charges nobody', async () => {
    const leaseMs = 1_000;
    const attempts: unknown[] = [];
    const engine = await scene.open([callbackOf()], { leaseMs });
    const waiting = async (part: string) => {
      const { rows } = await scene.pool.query(
        `select from pg_stat_activity where wait_event_type = 'Lock' and position($1 in query) > 0
          and position($2 in query) > 0`,
        [`${scene.schema}.`, part],
      );
      return rows.length > 0;
    };
    /** Each waits in the queue for the one before it, so that a claim has its turn between the two. */
    const lock = async () => {
      const client = new pg.Client({ connectionString });
      await client.connect();
      await client.query('begin');
      const held = client.query(`lock table ${scene.schema}.job_common in access exclusive mode`);
      return { held, release: async () => (await client.query('commit'), client.end()) };
    };
    await engine.store([deliveryOf({ arguments: ['a'] })]);
    let { held, release } = await lock();
    await held;
    engine.work(callbackOf(), completing(attempts));
    for (let times = 0; times < 5; times++) {
      const look = `select pg_notify('${scene.schema}_deliveries', 'x/A.a')`;
      await until(async () => {
        await scene.pool.query(look);
        return waiting(CLAIMS);
      });
      await timers.sleep(leaseMs * 0.6);
      const next = await lock();
      if (times < 4) await until(() => waiting('lock table'));
      await release();
      await next.held;
      ({ held, release } = next);
    }
    await release();
    await until(() => attempts.length === 1);
    expect(attempts).toEqual([['a', 1, 1]]);
    await until(async () => (await engine.counts()).every(({ running, dead }) => running + dead === 0));
    expect(attempts).toHaveLength(1);
  });

  /** What a session has read of the deliveries: how often all of them, and how many rows. */
  const readRows = async (client: pg.ClientBase) => {
    const { rows } = await client.query(
      `select seq_scan::int as scans, (seq_tup_read + idx_tup_fetch)::int as rows from pg_stat_xact_user_tables
        where relid = '${scene.schema}.job_common'::regclass`,
    );
    return rows[0] as { scans: number; rows: number };
  };

  it.each([false, true])(
    'what was planned in an empty store reads few rows of a full one (ordered: %p)',
    async (isOrdered) => {
      const callback = callbackOf({ isOrdered });
      const engine = await scene.open([callback]);
      await scene.pool.query(`alter table ${scene.schema}.job_common set (autovacuum_enabled = false)`);
      const { rows } = await scene.pool.query(
        `select oid::regproc::text as name from pg_proc where pronamespace = '${scene.schema}'::regnamespace`,
      );
      const named = (part: string) => (rows as { name: string }[]).find(({ name }) => name.includes(part))!.name;
      const queue = `(select name from ${scene.schema}.queue where name like 'x/%')`;
      const claim = `(${queue}, 10, gen_random_uuid(), 10`;
      const calls = [
        ...(isOrdered
          ? [`null, true`, `'key 3000', true`, `'key 3000', false`].map(
              (place) => `${named('events_claim_in_order_')}${claim}, '{"key 7"}', ${place})`,
            )
          : [`${named('events_claim_')}${claim})`]),
        `${named('events_claim_suspect_')}${claim}, true)`,
        `${named('events_sweep_')}(array[${queue}], '{}', true)`,
      ];
      const client = await scene.pool.connect();
      try {
        for (const call of calls) await client.query(`select * from ${call}`);
        await engine.store(Array.from({ length: 5_000 }, (_, index) => deliveryOf({ key: `key ${index}` })));
        for (const call of calls) {
          await client.query('begin');
          const before = await readRows(client);
          await client.query(`select * from ${call}`);
          const after = await readRows(client);
          await client.query('rollback');
          const found = { scans: after.scans - before.scans, isLittle: after.rows - before.rows < 200 };
          expect({ call, ...found }).toEqual({ call, scans: 0, isLittle: true });
        }
      } finally {
        client.release();
      }
    },
  );

  it('C3: what is large comes through a slow line, and none of it is late', async () => {
    const line = await Proxy.before(Number(new URL(connectionString).port || 5432));
    line.bytesPerSecond = 5_000_000;
    ends.push(() => line.end());
    const near = await scene.open([callbackOf()]);
    for (let index = 0; index < 10; index++) {
      await near.store([deliveryOf({ arguments: [index, randomBytes(2_250_000).toString('base64')] })]);
    }
    const attempts: unknown[] = [];
    const far = await scene.open([callbackOf()], { pool: undefined, connectionString: line.url(connectionString) });
    far.work(callbackOf(), completing(attempts));
    await until(() => attempts.length === 10);
    expect(attempts.toSorted()).toEqual(Array.from({ length: 10 }, (_, index) => [index, 1, 1]));
  });

  it('no key starves, though there is always more of others', async () => {
    const ordered = callbackOf({ isOrdered: true, concurrency: 2 });
    const engine = await scene.open([ordered]);
    const keys = Array.from({ length: 100 }, (_, index) => `k${String(index).padStart(3, '0')}`);
    const of = (some: string[]) => engine.store(some.map((key) => deliveryOf({ key })));
    // Of the first ones there is always more, and more of them than may run at a time.
    const busy = keys.slice(0, 20);
    await of(busy);
    await of(keys);
    const performed: string[] = [];
    engine.work(ordered, async ({ delivery, complete }) => {
      performed.push(delivery.key!);
      if (busy.includes(delivery.key!) && !performed.includes(keys.at(-1)!)) await of([delivery.key!]);
      await complete();
    });
    await until(() => performed.includes(keys.at(-1)!));
    expect(new Set(performed)).toEqual(new Set(keys));
  });

  it('keys that are held up keep no other from being performed', async () => {
    const ordered = callbackOf({ isOrdered: true, concurrency: 100 });
    const engine = await scene.open([ordered]);
    const keys = Array.from({ length: 2_000 }, (_, index) => `held ${index}`);
    const [held, free]: [string[], string[]] = [[], []];
    const working = await scene.open([ordered]);
    await engine.store(keys.map((key) => deliveryOf({ key })));
    working.work(ordered, async ({ delivery, bury }) => {
      held.push(delivery.key!);
      await bury(failure);
    });
    await until(async () => (await engine.counts())[0].dead === keys.length);
    await working.stopWorking();
    await engine.store([...keys, 'z'].map((key) => deliveryOf({ key })));
    engine.work(ordered, async ({ delivery, complete }) => {
      free.push(delivery.key!);
      await complete();
    });
    await until(() => free.length === 1);
    expect(free).toEqual(['z']);
  });
});
