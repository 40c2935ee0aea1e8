/** What the Redis engine says of a server or of options that will not do, and that it says no secret. */
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { EventDeliveries } from 'nestjs-callbacks';
import { redis, type RedisOptions } from 'nestjs-callbacks/redis';
import { Proxy } from '../infra/proxy.mjs';
import { closeApps, firstLines, Log, startApp, until } from '../support/app.js';
import { again, Emails, isIdle, ran } from '../support/engine-suite.js';
import { findRedisProgram, PrivateRedis, PrivateRedisCluster } from '../support/private-redis.mjs';
import { describeWith } from '../support/servers.js';

describeWith('With a Redis server of its own (redis-server)', findRedisProgram(), () => {
  let server: PrivateRedis;
  beforeAll(async () => {
    server = await PrivateRedis.start({ databases: 4 });
    await server.ask((client: Redis) => client.acl('SETUSER', 'ada', 'on', '>right', '~*', '+@all'));
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await closeApps();
  });
  afterAll(() => server.remove());

  const start = (options: RedisOptions, log?: Log) => startApp([Emails], { engine: redis(options) }, log);
  const refusal = (options: RedisOptions): Promise<Error> =>
    start(options).then(
      () => {
        throw new Error('It has started');
      },
      (error: Error) => error,
    );
  /** All that somebody may come to see of an error, also what the console leaves out. */
  const seenOf = (error: unknown) => inspect(error, { depth: 20, showHidden: true, maxStringLength: null });

  it('C29: a wrong password is in no error, and in no part of one', async () => {
    const error = await refusal({ url: `redis://ada:wrong-secret@127.0.0.1:${server.port}` });
    expect(error.message).toContain('WRONGPASS');
    expect(seenOf(error)).not.toContain('wrong-secret');
  });

  it('C29: nor is one that was changed while an instance was away, nor what was to be stored', async () => {
    const seen: string[] = [];
    const { events } = await startApp([Emails], {
      engine: redis({ url: `redis://ada:right@127.0.0.1:${server.port}` }),
      onError: (error) => void seen.push(seenOf(error)),
    });
    await server.ask(async (client: Redis) => {
      await client.acl('SETUSER', 'ada', 'resetpass', '>other');
      await client.client('KILL', 'USER', 'ada');
    });
    let error: unknown;
    await until(() =>
      events.run('x', 'Ada Lovelace').then(
        () => false,
        (reason: unknown) => (error = reason),
      ),
    );
    await server.ask((client: Redis) => client.acl('SETUSER', 'ada', 'resetpass', '>right'));
    await again(() => events.run('x', 'there'));
    await server.ask((client: Redis) => client.acl('SETUSER', 'ada', '-evalsha', '-eval'));
    await until(() =>
      events.run('x', 'Ada Lovelace').then(
        () => false,
        (reason: unknown) => (error = reason),
      ),
    );
    await server.ask((client: Redis) => client.acl('SETUSER', 'ada', '+@all'));
    expect(seenOf(error)).not.toContain('Ada Lovelace');
    for (const one of [...seen, seenOf(error)]) expect(one).not.toContain("'right'");
  });

  it('C13: a database that the server does not have is refused at boot', async () => {
    const error = await refusal({ url: `redis://127.0.0.1:${server.port}/9` });
    expect(error.message).toContain('DB index is out of range');
  });

  it('C10: options of the application that would break it are overruled', async () => {
    const connection = {
      host: '127.0.0.1',
      port: server.port,
      stringNumbers: true,
      keyPrefix: 'app:',
      enableAutoPipelining: true,
      socketTimeout: 300,
      blockingTimeout: 50,
    };
    const log = new Log();
    const { app, events } = await start({ connection, prefix: '{c10}' }, log);
    for (let index = 0; index < 20; index++) await events.run('x', index);
    await until(() => ran.length === 20);
    await events.run('x', 'fails');
    const deliveries = app.get(EventDeliveries);
    await until(async () => (await isIdle(deliveries)) && (await deliveries.counts())[0].dead === 1);
    expect((await deliveries.list()).found).toHaveLength(1);
    expect(firstLines(log.of('error')).filter((line) => line.includes('Redis'))).toEqual([]);
  });

  it('G9: a connection that breaks is told without words on options that nobody has set', async () => {
    const proxy = await Proxy.before(server.port);
    try {
      const { events, log } = await start({ url: proxy.url(server.url), prefix: '{broken}' });
      await again(() => events.run('x', 'before'));
      proxy.stall();
      const run = events.run('x', 1).catch((error: unknown) => error);
      await until(() => new Promise((resolve) => setTimeout(resolve, 50, true)));
      proxy.cut();
      const error = await run;
      expect(error).toMatchObject({ code: 'EVENTS_STORE_UNKNOWN' });
      expect((error as Error).message).toContain('the connection broke before Redis had answered');
      for (const one of [seenOf(error), ...log.lines]) expect(one).not.toContain('max retries per request');
    } finally {
      await closeApps();
      await proxy.end();
    }
  });

  it('G9: of sentinels that are away it names those', async () => {
    const connection = { sentinels: [{ host: '127.0.0.1', port: 1 }], name: 'mymaster' };
    expect((await refusal({ connection })).message).toContain(
      'no connection to "mymaster" by the sentinels 127.0.0.1:1: ',
    );
  });

  it('G9: what a Cluster surely has not got is told as not stored, as that of a single server', async () => {
    const cluster = await PrivateRedisCluster.start();
    try {
      const connection = new Cluster(cluster.nodes);
      const { events } = await start({ connection });
      connection.disconnect();
      await events.run('x', 1);
      await until(() => ran.length === 1);
      await Promise.all(cluster.servers.map((one: PrivateRedis) => one.stop()));
      await until(() =>
        events.run('x', 2).then(
          () => false,
          ({ code }: { code: string }) => code === 'EVENTS_STORE_FAILED',
        ),
      );
    } finally {
      await closeApps();
      await cluster.remove();
    }
  });

  it('G9: a server whose memory is full is said to be away once, and to be back once', async () => {
    const full = await PrivateRedis.start();
    try {
      const { app, events, log } = await start({ url: full.url, leaseMs: 1_000 });
      await events.run('x', 'first');
      await until(() => isIdle(app.get(EventDeliveries)));
      await full.ask((client: Redis) => client.config('SET', 'maxmemory', '1mb'));
      for (let times = 0; times < 40; times++) {
        await events.run('x', times).catch(() => {});
        await until(() => new Promise((resolve) => setTimeout(resolve, 50, true)));
      }
      await full.ask((client: Redis) => client.config('SET', 'maxmemory', '0'));
      const back = () => log.of('log').filter((line) => line.includes('works again')).length;
      const away = () => firstLines(log.of('error')).filter((line) => line.startsWith('Redis does not work')).length;
      await until(() => back() === away());
      expect(away()).toBeLessThanOrEqual(1);
    } finally {
      await closeApps();
      await full.remove();
    }
  });

  it('G9: of a delivery that Redis has removed it says so', async () => {
    const id = '01a213b0-e5d0-7fe5-9c07-7ff43c702d45';
    const options = { engine: redis({ url: server.url, prefix: '{evicted}' }) };
    const { app, events } = await startApp([Emails], { ...options, work: false });
    await events.with({ id }).run('x', 'evicted');
    await server.ask((client: Redis) => client.del(`{evicted}:x/Emails.greet:${id}`));
    await startApp([Emails], options);
    const deliveries = app.get(EventDeliveries);
    await until(async () => (await deliveries.counts())[0].dead === 1);
    const message =
      'A delivery of "x" has no arguments: its store has lost them, or another program has put it there. ' +
      'If that is Redis, look whether it may remove keys: set its maxmemory-policy to noeviction.';
    expect((await deliveries.list()).found).toMatchObject([{ id, arguments: [], error: { message } }]);
  });

  it('G12: a clock that is ahead is told of at boot', async () => {
    const { now } = Date;
    jest.spyOn(Date, 'now').mockImplementation(() => now() + 600_000);
    const log = new Log();
    await start({ url: server.url, prefix: '{ahead}' }, log);
    expect(log.of('warn')).toEqual([
      expect.stringMatching(
        /^The clock of this machine is (600|599)\.\d s ahead of that of Redis: delays and retries that this instance looks after end up to so much too early\. Have both set by NTP, and start again\.$/,
      ),
    ]);
  });
});
