/** What the Redis engine does when the master of its slot in a Redis Cluster is lost, and when that slot moves. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Cluster } from 'ioredis';
import { EventDeliveries } from 'nestjs-callbacks';
import { redis } from 'nestjs-callbacks/redis';
import { closeApps, startApp, until } from '../support/app.js';
import { Emails } from '../support/engine-suite.js';
import { findRedisProgram, type PrivateRedis, PrivateRedisCluster } from '../support/private-redis.mjs';
import { describeWith } from '../support/servers.js';
import { expectPerformed, heldBack, Load, untilBackAndIdle } from './load.js';

const PREFIX = '{nestjs-callbacks}';
const NODE_TIMEOUT_MS = 1_000;

describeWith('With a Redis Cluster that changes (redis-server)', findRedisProgram(), () => {
  let cluster: PrivateRedisCluster;
  let connection: Cluster;
  let slot: number;
  let owner: PrivateRedis;
  beforeEach(async () => {
    cluster = await PrivateRedisCluster.start(NODE_TIMEOUT_MS);
    ({ slot, owner } = await cluster.ownerOf(PREFIX));
    connection = new Cluster(cluster.nodes);
    connection.on('error', () => {});
  });
  afterEach(async () => {
    await closeApps();
    connection.disconnect();
    await cluster.remove();
  });

  const start = (callbacks: Parameters<typeof startApp>[0] = [Emails]) =>
    startApp(callbacks, { engine: redis({ connection, prefix: PREFIX, leaseMs: 2_000 }) });

  it('what ran and what waited when the master was killed is performed by instances that go on by themselves', async () => {
    const replica = await cluster.addReplica(owner);
    const { Slow, release } = heldBack();
    const apps = [await start([Slow]), await start([Slow])];
    const before = new Load(apps);
    await before.goesOn();
    await before.end();
    await until(async () => (await apps[0].app.get(EventDeliveries).counts())[0].running === 10);
    await owner.replicatedTo(replica);
    await owner.stop('SIGKILL');
    const during = new Load(apps);
    await until(async () => (await replica.replication()).includes('role:master'));
    release();
    await during.goesOn();
    await during.end();
    await untilBackAndIdle(apps);
    await expectPerformed(apps, [...before.all, ...during.all]);
  });

  it('while its slot moves to another master, nothing that was acknowledged is lost', async () => {
    const apps = [await start(), await start()];
    const load = new Load(apps);
    await load.goesOn();
    // The more there is, the longer it takes.
    const others = Array.from({ length: 1_000 }, (_, index) => `backlog ${index}`);
    await Promise.all(others.map((what) => apps[0].events.run('x', what)));
    const other = cluster.servers.find((server: PrivateRedis) => server !== owner);
    await cluster.moveSlot(slot, owner, other);
    await load.goesOn();
    await load.end();
    await untilBackAndIdle(apps);
    await expectPerformed(apps, [...load.all, ...others]);
    expect((await cluster.ownerOf(PREFIX)).owner).toBe(other);
  });
});
