/** What the Redis engine does when Sentinels make a replica the master, and when the master refuses what it could lose. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { EventDeliveries } from 'nestjs-callbacks';
import { redis } from 'nestjs-callbacks/redis';
import { closeApps, startApp, until } from '../support/app.js';
import { Emails, isIdle, ran } from '../support/engine-suite.js';
import { findRedisProgram, PrivateRedis } from '../support/private-redis.mjs';
import { describeWith } from '../support/servers.js';
import { expectPerformed, heldBack, Load, untilBackAndIdle } from './load.js';
import { Proxy } from './proxy.mjs';
import { SentinelServers } from './sentinel.mjs';

describeWith('With Redis Sentinels (redis-server)', findRedisProgram(), () => {
  let servers: SentinelServers;
  let connection: Redis;
  beforeEach(async () => {
    servers = await SentinelServers.start();
    connection = new Redis(servers.options);
    connection.on('error', () => {});
  });
  afterEach(async () => {
    await closeApps();
    connection.disconnect();
    await servers?.remove();
  });

  const isPromoted = async () => (await servers.replica.replication()).includes('role:master');

  it('all that the replica had is performed when the master is killed under load, and instances go on by themselves', async () => {
    const start = () => startApp([Emails], { engine: redis({ connection, leaseMs: 2_000 }) });
    const apps = [await start(), await start()];
    const load = new Load(apps);
    await load.goesOn();
    const replicatedOnes = load.all;
    await servers.master.replicatedTo(servers.replica);
    await load.goesOn(1);
    await servers.master.stop('SIGKILL');
    await until(isPromoted);
    const before = load.acknowledged.map(({ length }) => length);
    await load.goesOn();
    await load.end();
    const later = load.acknowledged.flatMap((line, index) => line.slice(before[index] + 1));
    await expectPerformed(apps, [...replicatedOnes, ...later]);
    expect(codesOf(load)).toEqual([]);
    await until(() => apps.some(({ log }) => log.of('log').some((line) => line.startsWith('Redis works again'))));
  });

  it('what ran and what waited when the master was killed is performed once all was quiet, and none of it is lost', async () => {
    const { Slow, release } = heldBack();
    const options = { engine: redis({ connection: servers.options, leaseMs: 2_000 }) };
    const apps = [await startApp([Slow], options), await startApp([Slow], options)];
    const load = new Load(apps);
    await load.goesOn();
    await load.end();
    const deliveries = apps[0].app.get(EventDeliveries);
    await until(async () => (await deliveries.counts())[0].running === 10);
    await servers.master.replicatedTo(servers.replica);
    await servers.master.stop('SIGKILL');
    await until(isPromoted);
    release();
    await untilBackAndIdle(apps);
    await expectPerformed(apps, load.all);
    expect(load.refusals).toEqual([]);
  });

  it('with min-replicas-to-write 1, runs are refused while the replica is gone, and go on when it is back', async () => {
    await servers.master.ask((client: Redis) => client.config('SET', 'min-replicas-to-write', '1'));
    const { app, events } = await startApp([Emails], { engine: redis({ connection }) });
    await events.run('x', 'before');
    await until(() => isIdle(app.get(EventDeliveries)));
    await servers.replica.stop();
    const run = () => events.run('x', 'refused');
    await until(async () => (await servers.master.replication()).includes('connected_slaves:0'));
    await expect(run()).rejects.toMatchObject({
      code: 'EVENTS_STORE_FAILED',
      message: expect.stringContaining('NOREPLICAS'),
    });
    await servers.replica.start();
    await servers.replica.follow(servers.master);
    await until(() =>
      events.run('x', 'after').then(
        () => true,
        () => false,
      ),
    );
    await until(() => isIdle(app.get(EventDeliveries)));
    expect(ran).toEqual(['before', 'after']);
  });
});

describeWith('With a Redis master that becomes a replica (redis-server)', findRedisProgram(), () => {
  it('it is left for the one that a proxy leads to then, without being cut off', async () => {
    const [former, next] = [await PrivateRedis.start(), await PrivateRedis.start()];
    const proxy = await Proxy.before(former.port);
    try {
      await next.follow(former);
      const start = () => startApp([Emails], { engine: redis({ url: proxy.url(former.url) }) });
      const apps = [await start(), await start()];
      const load = new Load(apps);
      await load.goesOn();
      // Nothing is written while the two change places.
      await former.ask((client: Redis) => client.call('FAILOVER'));
      await until(async () => (await next.replication()).includes('role:master'));
      await until(() => load.refusals.some(({ message }) => message.includes('READONLY')));
      proxy.leadTo(next.port);
      await load.goesOn();
      await load.end();
      await expectPerformed(apps, load.all);
    } finally {
      await closeApps();
      await proxy.end();
      await former.remove();
      await next.remove();
    }
  });
});

/** Codes of what was refused, but for those by which the store is at fault. */
const codesOf = ({ refusals }: Load) =>
  [...new Set(refusals.map(({ code }) => code))].filter(
    (code) => !['EVENTS_STORE_FAILED', 'EVENTS_STORE_UNKNOWN'].includes(code),
  );
