/** Suspects that were spared often: each engine that real processes share lets them in only alone. */
import { expect, it } from '@jest/globals';
import { Job, Queue } from 'bullmq';
import { type DurableEngine, type EngineFactory, SPARED_OFTEN, timers } from 'nestjs-callbacks/engine';
import { postgres } from 'nestjs-callbacks/postgres';
import { redis } from 'nestjs-callbacks/redis';
import { callbackOf, deliveryOf, sceneOn as postgresScene } from '../postgres/scene.js';
import { sceneOn as redisScene } from '../redis/scene.js';
import { until } from '../support/app.js';
import { describeWith, findPostgres, findRedis } from '../support/servers.js';

/** How often each was spared: the second is let in only alone. */
const SPARED = [1, SPARED_OFTEN, 1, 1, 1, 1];
const TITLE = 'one that was spared often is performed alone, whatever others there are';

/** @param suspect makes all deliveries suspects, and says of each how often it was spared */
async function expectOneAlone(make: EngineFactory, suspect: (spared: Map<string, number>) => Promise<unknown>) {
  const engine: DurableEngine = make();
  await engine.start({ instance: 'here', log() {}, warn() {}, report() {} });
  try {
    await engine.declare([callbackOf()]);
    const deliveries = SPARED.map(() => deliveryOf());
    await engine.store(deliveries);
    await suspect(new Map(deliveries.map(({ id }, index) => [id, SPARED[index]])));
    const [first, often, ...rest] = deliveries.map(({ id }) => id);
    const others = [first, ...rest];
    const running = new Set<string>();
    const beside: string[] = [];
    let done = 0;
    engine.work(callbackOf(), async (attempt) => {
      const { id } = attempt.delivery;
      running.add(id);
      if (running.has(often)) beside.push(...others.filter((other) => running.has(other)));
      await timers.sleep(200);
      await attempt.complete();
      running.delete(id);
      done++;
    });
    await until(() => done === SPARED.length);
    expect(beside).toEqual([]);
  } finally {
    await engine.stop();
  }
}

describeWith('On a Postgres server', await findPostgres(), (connectionString) => {
  const scene = postgresScene(connectionString);
  it(TITLE, () =>
    expectOneAlone(postgres(scene.place), async (spared) => {
      for (const [id, times] of spared) {
        await scene.pool.query(
          `update ${scene.schema}.job set state = 'retry', blocked = true, source_retry_count = $2, started_on = now(),
            retry_count = $2 - 1 where id = $1`,
          [id, times],
        );
      }
    }),
  );
});

describeWith('On a Redis server', await findRedis(), (url) => {
  const scene = redisScene(url);
  it(TITLE, () =>
    expectOneAlone(redis(scene.place), async (spared) => {
      const queue = new Queue('x/A.a', { connection: scene.connection, prefix: scene.prefix });
      for (const [id, times] of spared) {
        const job = (await Job.fromId(queue, id))!;
        await job.updateData({ ...job.data, suspect: 'waits', spared: times });
      }
      await queue.close();
    }),
  );
});
