/** What can be read of the deliveries on a Postgres server, and retried, when many are kept there. */
import { afterEach, expect, it } from '@jest/globals';
import { EventDeliveries } from 'nestjs-callbacks';
import type { DeliveryCounts, DeliveryState, DurableEngine, KeptDelivery } from 'nestjs-callbacks/engine';
import { startApp } from '../support/app.js';
import { Emails } from '../support/engine-suite.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { callbackOf, deliveryOf, sceneOn } from './scene.js';
import { WatchedPool } from './watched-pool.js';

const FAR_MS = 3_600_000;

/** All deliveries in a state, page by page. */
async function allPages(engine: DurableEngine, state: DeliveryState, limit: number): Promise<KeptDelivery[]> {
  const all: KeptDelivery[] = [];
  for (;;) {
    const page = await engine.list({ state, limit, ...(all.length > 0 && { after: all.at(-1)!.cursor }) });
    all.push(...page);
    if (page.length < limit) return all;
  }
}

const idsOf = (deliveries: readonly { readonly id: string }[]) => deliveries.map(({ id }) => id);

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);
  const pools: WatchedPool[] = [];
  const watchedPool = () => pools[pools.push(new WatchedPool(connectionString)) - 1];
  afterEach(async () => {
    for (const pool of pools.splice(0)) await pool.end();
  });

  /** Stores many at once, all at the same moment. */
  const fill = (queue: string, count: number, state = 'created') =>
    scene.pool.query(
      `insert into ${scene.schema}.job_common (id, name, data, state, singleton_key, policy, start_after, created_on,
         started_on, completed_on, retry_count, retry_limit, keep_until)
       select gen_random_uuid(), $1, '{ "arguments": [] }', $3, i::text, 'standard', now(), now(),
         case $3 when 'failed' then now() end, case $3 when 'failed' then now() end, 0, 1000000000, now() + interval '1 year'
       from generate_series(1, $2::int) as i`.replaceAll('$3', `'${state}'`),
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
    expect(idsOf(await engine.list({ state: 'waiting', ids: [deliveries[1].id], limit: 1 }))).toEqual([
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
    await scene.pool.query(`vacuum (analyze) ${scene.schema}.job_common`);
    let counts: readonly DeliveryCounts[] = [];
    const statements = await pool.explained(async () => {
      counts = await engine.counts();
    });
    const read = statements.reduce((sum, statement) => sum + statement.read, 0);
    expect(statements).toHaveLength(2);
    expect(read).toBeGreaterThan(70_000);
    expect(read).toBeLessThan(100_000);
    for (const { scans } of statements) expect(scans).toEqual(['Index Only Scan of job_common_i14']);
    expect(counts).toContainEqual(expect.objectContaining({ callback: 'A.a0', dead: 2_000, isExact: true }));
    for (const { dead, isExact } of counts.filter(({ callback }) => callback !== 'A.a0')) {
      expect(dead).toBeGreaterThan(3_000);
      expect(isExact).toBe(false);
    }
  });

  it('thousands of dead are retried in portions, also those that died at the same moment', async () => {
    const { app } = await startApp([Emails], scene.options({}, { work: false }));
    await fill('x/Emails.greet', 2_500, 'failed');
    const deliveries = app.get(EventDeliveries);
    const progress: number[] = [];
    expect(await deliveries.retry({}, { onProgress: (done) => progress.push(done) })).toBe(2_500);
    expect(progress).toEqual([1_000, 2_000, 2_500]);
    expect(await deliveries.counts()).toMatchObject([{ waiting: 2_500, dead: 0 }]);
    expect(await deliveries.list({ state: 'waiting', limit: 1 })).toMatchObject([{ attempts: 0 }]);
  });
});
