/** What can be read of the deliveries on a Postgres server, and retried, when many are kept there. */
import { afterEach, expect, it } from '@jest/globals';
import { EventDeliveries } from 'nestjs-callbacks';
import {
  cursorOf,
  type DeliveryCounts,
  type DeliveryPage,
  type DeliveryState,
  type DurableEngine,
  type KeptDelivery,
} from 'nestjs-callbacks/engine';
import { startApp } from '../support/app.js';
import { Emails } from '../support/engine-suite.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { callbackOf, deliveryOf, sceneOn } from './scene.js';
import { WatchedPool } from './watched-pool.js';

const FAR_MS = 3_600_000;
const ID = '01900000-0001-7000-8000-000000000001';

/** All deliveries in a state, page by page. */
async function allPages(engine: DurableEngine, state: DeliveryState, limit: number): Promise<KeptDelivery[]> {
  const all: KeptDelivery[] = [];
  let after: string | undefined;
  do {
    const page = await engine.list({ state, limit, after });
    all.push(...page.found);
    after = page.after;
  } while (after !== undefined);
  return all;
}

const idsOf = (deliveries: readonly { readonly id: string }[]) => deliveries.map(({ id }) => id);

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);
  const pools: WatchedPool[] = [];
  const watchedPool = () => pools[pools.push(new WatchedPool(connectionString)) - 1];
  afterEach(async () => {
    for (const pool of pools.splice(0)) await pool.end();
  });

  /** Stores many at once, all at the same moment, or from some second on and some seconds apart. */
  const fill = (queue: string, count: number, state = 'created', { from = 0, apart = 0 } = {}) =>
    scene.pool.query(
      `insert into ${scene.schema}.job_common (id, name, data, state, singleton_key, policy, start_after, created_on,
         started_on, completed_on, retry_count, retry_limit, keep_until)
       select gen_random_uuid(), $1, '{ "arguments": [] }', $3, i::text, 'standard', $4, $4,
         case $3 when 'failed' then now() end, case $3 when 'failed' then now() end, 0, 1000000000, now() + interval '1 year'
       from generate_series(1, $2::int) as i`
        .replaceAll('$3', `'${state}'`)
        .replaceAll('$4', `now() + interval '1 second' * (${from} + i * ${apart})`),
      [queue, count],
    );

  it('a callback that has become ordered is listed page by page, from both its queues', async () => {
    const older = await scene.open([callbackOf()]);
    const newer = await scene.open([callbackOf({ isOrdered: true })]);
    const stored: string[] = [];
    for (const engine of [older, newer, newer, older, newer, older, older]) {
      const delivery = deliveryOf({ key: 'k', delayMs: FAR_MS });
      await engine.store([delivery]);
      stored.push(delivery.id);
    }
    const { rows } = await scene.pool.query(`select distinct name from ${scene.schema}.job`);
    expect(rows).toHaveLength(2);
    expect(idsOf(await allPages(newer, 'waiting', 2))).toEqual(stored);
    expect(await newer.counts()).toMatchObject([{ delayed: 7, isExact: true }]);
  });

  it('what was stored at the same moment is listed once', async () => {
    const engine = await scene.open([callbackOf(), callbackOf({ callback: 'B.b' })]);
    await fill('x/A.a', 40);
    await fill('x/B.b', 40);
    await fill('x/B.b', 40, 'failed');
    for (const [state, count] of [
      ['waiting', 80],
      ['dead', 40],
    ] as const) {
      const listed = await allPages(engine, state, 7);
      expect([listed.length, new Set(idsOf(listed)).size]).toEqual([count, count]);
    }
  });

  it('a delivery that is suspected of ending its process waits like any other', async () => {
    const engine = await scene.open([callbackOf()]);
    const deliveries = [deliveryOf(), deliveryOf(), deliveryOf()];
    for (const delivery of deliveries) await engine.store([delivery]);
    await scene.pool.query(`update ${scene.schema}.job set state = 'retry', blocked = true where id = $1`, [
      deliveries[1].id,
    ]);
    expect(idsOf(await allPages(engine, 'waiting', 1))).toEqual(idsOf(deliveries));
    expect(idsOf((await engine.list({ state: 'waiting', ids: [deliveries[1].id], limit: 1 })).found)).toEqual([
      deliveries[1].id,
    ]);
    expect(await engine.counts()).toMatchObject([{ waiting: 3, delayed: 0 }]);
  });

  it('more than 10,000 are not counted exactly', async () => {
    const engine = await scene.open([callbackOf(), callbackOf({ callback: 'B.b' })]);
    await fill('x/A.a', 10_000);
    await fill('x/B.b', 10_100, 'failed');
    const counts = await engine.counts();
    expect(counts).toContainEqual(expect.objectContaining({ callback: 'A.a', waiting: 10_000, isExact: true }));
    expect(counts).toContainEqual(expect.objectContaining({ callback: 'B.b', dead: 10_001, isExact: false }));
  });

  it('counts() reads no more of the index with many callbacks than with a few, and says where it has stopped', async () => {
    const pool = watchedPool();
    const callbacks = Array.from({ length: 20 }, (_, at) => callbackOf({ callback: `A.a${at}` }));
    const engine = await scene.open(callbacks, { pool });
    for (const { callback } of callbacks.slice(1)) await fill(`x/${callback}`, 6_000, 'failed');
    await fill('x/A.a0', 2_000, 'failed');
    await scene.pool.query(`analyze ${scene.schema}.job_common`);
    let counts: readonly DeliveryCounts[] = [];
    const statements = await pool.explained(async () => {
      counts = await engine.counts();
    });
    const read = statements.reduce((sum, statement) => sum + statement.read, 0);
    expect(read).toBeGreaterThan(70_000);
    expect(read).toBeLessThan(120_000);
    const [counting, endings] = ['Index Only Scan of job_common_i14', 'Index Scan of job_common_i16'];
    expect(statements.map(({ scans }) => scans)).toEqual([[counting], [counting], [endings]]);
    expect(counts).toContainEqual(expect.objectContaining({ callback: 'A.a0', dead: 2_000, isExact: true }));
    for (const { dead, isExact } of counts.filter(({ callback }) => callback !== 'A.a0')) {
      expect(dead).toBeGreaterThan(3_000);
      expect(isExact).toBe(false);
    }
  });

  it('a page of many callbacks reads little more than a page of one, and no data but its own', async () => {
    const pool = watchedPool();
    const callbacks = Array.from({ length: 25 }, (_, at) => callbackOf({ callback: `A.a${at}` }));
    const engine = await scene.open(callbacks, { pool });
    for (const [at, { callback }] of callbacks.entries()) {
      await fill(`x/${callback}`, 200, 'created', { from: at / 25, apart: 1 });
      await fill(`x/${callback}`, 200, 'failed', { from: at / 25, apart: 1 });
    }
    await scene.pool.query(`analyze ${scene.schema}.job_common`);
    for (const state of ['waiting', 'dead'] as const) {
      const [{ read }] = await pool.explained(() => engine.list({ state, limit: 100 }));
      expect(read).toBeGreaterThan(25 * 20);
      expect(read).toBeLessThan(25 * 20 + 25 + 100 + 100);
    }
  });

  it('pages of many callbacks come in the order of storing, however these are spread', async () => {
    const callbacks = Array.from({ length: 9 }, (_, at) => callbackOf({ callback: `A.a${at}` }));
    const engine = await scene.open(callbacks);
    await fill('x/A.a0', 100, 'failed', { apart: 0.001 });
    await fill('x/A.a1', 70, 'failed', { apart: 0.002 });
    await fill('x/A.a2', 60, 'failed');
    await fill('x/A.a3', 5, 'failed', { from: -1 });
    await fill('x/A.a4', 40, 'failed', { from: 100 });
    for (const at of [5, 6, 7]) await fill(`x/A.a${at}`, 20, 'failed', { apart: 1 });
    const { rows } = await scene.pool.query(
      `select id from ${scene.schema}.job_common where state = 'failed' order by start_after, id, name`,
    );
    expect(rows).toHaveLength(335);
    for (const limit of [1, 30, 400]) expect(idsOf(await allPages(engine, 'dead', limit))).toEqual(idsOf(rows));
  });

  it('many ids are looked up where something is, some at a time, and listed in the order of storing', async () => {
    const pool = watchedPool();
    const callbacks = Array.from({ length: 20 }, (_, at) => callbackOf({ callback: `A.a${at}` }));
    const engine = await scene.open(callbacks, { pool });
    await fill('x/A.a3', 1_000, 'failed', { apart: 1 });
    await fill('x/A.a4', 1_000);
    const { rows } = await scene.pool.query(
      `select id from ${scene.schema}.job_common where state = 'failed' order by start_after`,
    );
    const ids = idsOf(rows);
    let page: DeliveryPage | undefined;
    const statements = await pool.explained(async () => {
      page = await engine.list({ state: 'dead', ids: [...ids, ...ids, ids[0].toUpperCase()].sort(), limit: 700 });
    });
    expect(idsOf(page!.found)).toEqual(ids.slice(0, 700));
    expect(statements).toHaveLength(2);
    for (const { buffers } of statements) expect(buffers).toBeLessThan(4_000);
    const rest = (await engine.list({ state: 'dead', ids, limit: 700, after: page!.after })).found;
    expect(idsOf(rest)).toEqual(ids.slice(700));
    expect(await engine.discard({ ids }, { limit: 1_000 })).toEqual({ count: 1_000 });
  });

  it.each([
    ['a time beyond all times', ['9'.repeat(17), ID, 'x/Emails.greet']],
    ['a time that is no number', ['1e3', ID, 'x/Emails.greet']],
    ['an id of dashes only', ['1', '-'.repeat(36), 'x/Emails.greet']],
    ['a queue with a character that Postgres cannot store', ['1', ID, 'x/Emails\0greet']],
    ['no queue', ['1', ID]],
  ])('a cursor that somebody has made up, with %s, is refused before Postgres sees it', async (_, place) => {
    const { app } = await startApp([Emails], scene.options({}, { work: false }));
    const after = cursorOf('dead', ...place);
    await expect(app.get(EventDeliveries).list({ after })).rejects.toMatchObject({
      code: 'EVENTS_QUERY_INVALID',
      message: expect.stringMatching(
        /^EventDeliveries\.list\(\) was given after: .+ Pass the `after` of the page before, as it is\.$/,
      ),
    });
  });

  it('the utmost cursor that is read as one is of a time that Postgres knows', async () => {
    const engine = await scene.open([callbackOf()]);
    const after = cursorOf(
      'dead',
      '9'.repeat(16),
      'f'.repeat(8) + '-ffff-ffff-ffff-' + 'f'.repeat(12),
      'x/A.a/ordered',
    );
    expect((await engine.list({ state: 'dead', limit: 1, after })).found).toEqual([]);
  });

  it('thousands of dead are retried in portions, also those that died at the same moment', async () => {
    const { app } = await startApp([Emails], scene.options({}, { work: false }));
    await fill('x/Emails.greet', 2_500, 'failed');
    const deliveries = app.get(EventDeliveries);
    const progress: number[] = [];
    expect(await deliveries.retry({}, { onProgress: (done) => progress.push(done) })).toBe(2_500);
    expect(progress).toEqual([400, 800, 1_200, 1_600, 2_000, 2_400, 2_500]);
    expect(await deliveries.counts()).toMatchObject([{ waiting: 2_500, dead: 0 }]);
    expect((await deliveries.list({ state: 'waiting', limit: 1 })).found).toMatchObject([{ attempts: 0 }]);
  });
});
