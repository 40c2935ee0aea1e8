/** What a search reads on a Postgres server, and where the history of failures lies. */
import { afterEach, expect, it } from '@jest/globals';
import type { DurableEngine, EngineAttempt } from 'nestjs-callbacks/engine';
import { until } from '../support/app.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { callbackOf, deliveryOf, sceneOn } from './scene.js';
import { WatchedPool } from './watched-pool.js';

const FAR_MS = 3_600_000;

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);
  const pools: WatchedPool[] = [];
  const watchedPool = () => pools[pools.push(new WatchedPool(connectionString)) - 1];
  afterEach(async () => {
    for (const pool of pools.splice(0)) await pool.end();
  });

  /** Stores many, a second apart, each with a key of its own and a header. */
  async function fill(queue: string, count: number, state: string, more: { key?: string; argument?: string } = {}) {
    const { key = `i::text`, argument = `'Ada'::text` } = more;
    await scene.pool.query(
      `insert into ${scene.schema}.job_common (id, name, data, state, singleton_key, policy, start_after, created_on,
         started_on, completed_on, retry_count, retry_limit, keep_until, output)
       select gen_random_uuid(), $1, jsonb_build_object('headers', jsonb_build_object('tenant', 't' || i), 'arguments',
           jsonb_build_array(${argument})), '${state}', ${key}, 'standard', at, at, at, at, 1, 1000000000,
         now() + interval '1 year', jsonb_build_object('name', 'Error', 'message', 'down ' || i, 'code', 'E' || i)
       from generate_series(1, $2::int) as i cross join lateral (select now() - interval '1 day' + i * interval '1 second' as at) as t`,
      [queue, count],
    );
    await scene.pool.query(`analyze ${scene.schema}.job_common`);
  }

  it('what no index serves is looked for among 1,000, wherever it is, and the next call goes on', async () => {
    const pool = watchedPool();
    const engine = await scene.open([callbackOf()], { pool });
    await fill('x/A.a', 20_000, 'failed');
    const pages: [number, number][] = [];
    let after: string | undefined;
    const statements = await pool.explained(async () => {
      do {
        const page = await engine.list({ state: 'dead', errorCode: 'E19500', limit: 10, after });
        pages.push([page.scanned, page.found.length]);
        after = page.after;
      } while (after !== undefined);
    });
    expect(pages.map(([, found]) => found)).toEqual([...Array(19).fill(0), 1, 0]);
    expect(pages.map(([scanned]) => scanned)).toEqual([...Array(20).fill(1_000), 0]);
    expect(statements[0].scans).toContain('Index Scan of job_common_i14');
    for (const { read } of statements) expect(read).toBeLessThan(3_000);
  });

  it('what is large is unpacked for so many bytes only, and never where the filter does not need it', async () => {
    const engine = await scene.open([callbackOf()]);
    const argument = `(select string_agg(md5(i::text || k), '') from generate_series(1, 2000) as k)`;
    await fill('x/A.a', 100, 'completed', { argument });
    const byHeader = await engine.list({ state: 'completed', headers: { tenant: 't100' }, limit: 10 });
    expect(byHeader).toMatchObject({ found: [], after: expect.any(String) });
    expect(byHeader.scanned).toBeLessThan(15);
    const byKey = await engine.list({ state: 'completed', key: '100', limit: 10 });
    expect([byKey.found.length, byKey.scanned, byKey.after]).toEqual([1, 100, undefined]);
  });

  it('times of storing, and a key of what waits, are served by an index', async () => {
    const pool = watchedPool();
    const engine = await scene.open([callbackOf()], { pool });
    await fill('x/A.a', 5_000, 'created', { key: `(i % 1000)::text` });
    const { found } = await engine.list({ state: 'waiting', order: 'newest', limit: 1 });
    const storedAfter = new Date(found[0].storedAt.getTime() - 2_500);
    const asked = [
      () => engine.list({ state: 'waiting', key: '7', limit: 100 }),
      () => engine.list({ state: 'waiting', storedAfter, limit: 100 }),
      () => engine.list({ state: 'waiting', order: 'newest', limit: 3 }),
    ];
    for (const [at, ask] of asked.entries()) {
      let page: Awaited<ReturnType<DurableEngine['list']>> | undefined;
      const [{ read }] = await pool.explained(async () => {
        page = await ask();
      });
      expect([page!.found.length, page!.scanned]).toEqual(
        [
          [5, 5],
          [3, 3],
          [3, 3],
        ][at],
      );
      expect(read).toBeLessThan(30);
    }
  });

  it('the dead one that holds up a key is found by that key at once, however many are dead', async () => {
    const pool = watchedPool();
    const callback = callbackOf({ isOrdered: true });
    const engine = await scene.open([callback, callbackOf({ callback: 'B.b' })], { pool });
    await fill('x/B.b', 3_000, 'failed');
    engine.work(callback, async (attempt) => void (await attempt.bury({ name: 'Error', message: 'no' })));
    await engine.store(Array.from({ length: 300 }, (_, at) => deliveryOf({ key: `k${at}` })));
    await until(async () => (await engine.counts()).some(({ callback: id, dead }) => id === 'A.a' && dead === 300));
    await scene.pool.query(`analyze ${scene.schema}.job_common`);
    let page: Awaited<ReturnType<DurableEngine['list']>> | undefined;
    const [{ read }] = await pool.explained(async () => {
      page = await engine.list({ callback: 'A.a', state: 'dead', key: 'k150', limit: 10 });
    });
    expect([page!.found.map(({ key }) => key), page!.scanned, page!.after]).toEqual([['k150'], 1, undefined]);
    expect(read).toBeLessThan(20);
  });

  /** Has each attempt at a delivery fail, until that is dead. */
  async function fail(engine: DurableEngine, attempts: number, meanwhile = async (_attempt: EngineAttempt) => {}) {
    engine.work(callbackOf(), async (attempt) => {
      await meanwhile(attempt);
      const error = { name: 'Error', message: `failure ${attempt.attempt}` };
      await (attempt.attempt < attempts ? attempt.retryIn(0, error) : attempt.bury(error));
    });
    await until(async () => (await engine.counts())[0]?.dead === 1);
    const { found } = await engine.list({ state: 'dead', limit: 1 });
    return found[0];
  }

  it('a failure writes no argument anew, however large it is', async () => {
    const engine = await scene.open([callbackOf()]);
    const argument = Array.from({ length: 20_000 }, () => Math.random().toString(36)).join('');
    await engine.store([deliveryOf({ arguments: [argument] })]);
    const { rows } = await scene.pool.query(
      `select reltoastrelid::regclass::text as toast from pg_class where oid = '${scene.schema}.job_common'::regclass`,
    );
    const chunks = async () => (await scene.pool.query(`select chunk_id from ${rows[0].toast} group by chunk_id`)).rows;
    const before = await chunks();
    expect(before).toHaveLength(1);
    expect((await fail(engine, 12)).history).toHaveLength(10);
    expect(await chunks()).toEqual(before);
  });

  it('a build that knows of no history reads the error beside it, and its own failures begin a new one', async () => {
    const engine = await scene.open([callbackOf()]);
    await engine.store([deliveryOf({ delayMs: 0 })]);
    const dead = await fail(engine, 4, async ({ attempt, delivery }) => {
      if (attempt !== 3) return;
      const { rows } = await scene.pool.query(`select output from ${scene.schema}.job_common where id = $1`, [
        delivery.id,
      ]);
      expect(rows[0].output).toMatchObject({ name: 'Error', message: 'failure 2' });
      // What it writes is the error alone.
      await scene.pool.query(
        `update ${scene.schema}.job_common set output = '{ "name": "Error", "message": "of the build before" }' where id = $1`,
        [delivery.id],
      );
    });
    expect(dead.error).toEqual({ name: 'Error', message: 'failure 4' });
    expect(dead.history!.map(({ message }) => message)).toEqual(['failure 3', 'failure 4']);
  });

  it('what pg-boss has written as the output of a failure hinders no history', async () => {
    const engine = await scene.open([callbackOf()]);
    const delivery = deliveryOf({ delayMs: FAR_MS });
    await engine.store([delivery]);
    for (const output of ['"text"', '[1]', '{ "history": 5 }']) {
      await scene.pool.query(
        `update ${scene.schema}.job_common set output = $2, start_after = now(), state = 'created', retry_count = 0 where id = $1`,
        [delivery.id, output],
      );
      const dead = await fail(engine, 1);
      expect(dead.history).toHaveLength(1);
    }
  });
});
