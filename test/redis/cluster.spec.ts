/** What the Redis engine promises on a Redis Cluster. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Cluster } from 'ioredis';
import { Callback, EventDeliveries } from 'nestjs-callbacks';
import { redis } from 'nestjs-callbacks/redis';
import { startApp, until } from '../support/app.js';
import { Emails, isIdle, ran } from '../support/engine-suite.js';
import { findRedisProgram, PrivateRedisCluster } from '../support/private-redis.mjs';
import { describeWith } from '../support/servers.js';

describeWith('With a Redis Cluster (redis-server)', findRedisProgram(), () => {
  let cluster: PrivateRedisCluster;
  let connection: Cluster;
  beforeAll(async () => {
    cluster = await PrivateRedisCluster.start();
    connection = new Cluster(cluster.nodes);
    connection.on('error', () => {});
  });
  afterAll(async () => {
    connection.disconnect();
    await cluster.remove();
  });

  it('runs of several callbacks are stored in one step, and performed', async () => {
    @Injectable()
    class More {
      @Callback('x', { delivery: 'durable' }) async also(what: unknown) {
        ran.push(`also ${String(what)}`);
      }
    }
    const { app, events } = await startApp([Emails, More], { engine: redis({ connection }) });
    const deliveries = app.get(EventDeliveries);
    await events.run('x', 'Ada');
    await events.run('x', 'fails');
    await until(async () => (await deliveries.list()).found.length === 1 && (await isIdle(deliveries)));
    expect(ran.map(String).sort()).toEqual(['Ada', 'also Ada', 'also fails', 'fails', 'fails']);
    expect(await deliveries.retry({ callback: 'Emails.greet' })).toBe(1);
    await until(() => ran.length === 7);
  });

  it('what waits is counted, and since when it is due', async () => {
    const options = { engine: redis({ connection, prefix: '{counted}' }), work: false };
    const { app, events } = await startApp([Emails], options);
    await events.run('x', 'Ada');
    const [{ waiting, oldestDueAt }] = await app.get(EventDeliveries).counts();
    const [{ since }] = (await app.get(EventDeliveries).list({ state: 'waiting' })).found;
    expect([waiting, oldestDueAt]).toEqual([1, since]);
  });

  it('a prefix without a hash tag is refused at boot', async () => {
    await expect(startApp([Emails], { engine: redis({ connection, prefix: 'a{}b{c}' }) })).rejects.toThrow(
      'has no hash tag',
    );
    await expect(startApp([Emails], { engine: redis({ connection, prefix: 'mine' }) })).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
      message: expect.stringContaining(
        'the prefix "mine" has no hash tag, and a Redis Cluster would spread the keys of one delivery over several nodes. Write it as "{mine}".',
      ),
    });
  });
});
