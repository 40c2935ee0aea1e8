/** What the Redis engine does when the master of its slot in a Redis Cluster is lost, and when that slot moves. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Cluster } from 'ioredis';
import { Callback, EventDeliveries } from 'nestjs-callbacks';
import { redis } from 'nestjs-callbacks/redis';
import { closeApps, deferred, type StartedApp, startApp, until } from '../support/app.js';
import { Emails, isIdle, ran } from '../support/engine-suite.js';
import { findRedisProgram, type PrivateRedis, PrivateRedisCluster } from '../support/private-redis.mjs';
import { describeWith } from '../support/servers.js';
import { Load } from './load.js';

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
  const loadOf = (apps: readonly StartedApp[]) =>
    new Load(apps, ({ events }, _, what, id) => (id === undefined ? events : events.with({ id })).run('x', what));

  async function expectPerformed([{ app }]: readonly StartedApp[], wanted: readonly unknown[]) {
    const deliveries = app.get(EventDeliveries);
    await until(() => isIdle(deliveries).catch(() => false));
    const performed = new Set(ran);
    expect(wanted.filter((one) => !performed.has(one))).toEqual([]);
    expect((await deliveries.counts()).filter(({ dead }) => dead > 0)).toEqual([]);
  }

  it('what ran and what waited when the master was killed is performed by instances that go on by themselves', async () => {
    const replica = await cluster.addReplica(owner);
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('x', { delivery: 'durable', concurrency: 5 }) async go(what: unknown) {
        await gate.promise;
        ran.push(what);
      }
    }
    const apps = [await start([Slow]), await start([Slow])];
    const before = loadOf(apps);
    await before.goesOn();
    await before.end();
    await until(async () => (await apps[0].app.get(EventDeliveries).counts())[0].running === 10);
    await owner.replicatedTo(replica);
    await owner.stop('SIGKILL');
    const during = loadOf(apps);
    await until(async () => (await replica.replication()).includes('role:master'));
    gate.resolve();
    await during.goesOn();
    await during.end();
    await expectPerformed(apps, [...before.all, ...during.all]);
  });

  it('while its slot moves to another master, nothing that was acknowledged is lost', async () => {
    const apps = [await start(), await start()];
    const load = loadOf(apps);
    await load.goesOn();
    // The more there is, the longer it takes.
    const others = Array.from({ length: 1_000 }, (_, index) => `backlog ${index}`);
    await Promise.all(others.map((what) => apps[0].events.run('x', what)));
    const other = cluster.servers.find((server: PrivateRedis) => server !== owner);
    await cluster.moveSlot(slot, owner, other);
    await load.goesOn();
    await load.end();
    await expectPerformed(apps, [...load.all, ...others]);
    expect((await cluster.ownerOf(PREFIX)).owner).toBe(other);
  });
});
