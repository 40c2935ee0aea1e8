/** What the Redis engine promises while its server is away, frozen or full, forgets, or is not set up for it. */
import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Redis } from 'ioredis';
import { Callback, currentEvent, EventDeliveries } from 'nestjs-callbacks';
import { timers } from 'nestjs-callbacks/engine';
import { redis } from 'nestjs-callbacks/redis';
import { closeApps, deferred, Log, startApp, until } from '../support/app.js';
import { again, Emails, engineSuite, isIdle, ran } from '../support/engine-suite.js';
import { findRedisProgram, PrivateRedis } from '../support/private-redis.mjs';
import { describeWith } from '../support/servers.js';
import { renewed } from './scene.js';

afterEach(() => {
  jest.restoreAllMocks();
});

describeWith('With a Redis server of its own (redis-server)', findRedisProgram(), () => {
  let server: PrivateRedis;
  beforeAll(async () => {
    server = await PrivateRedis.start();
  });
  afterAll(() => server.remove());
  const place = (name: string) => ({ url: server.url, prefix: `{${name}}` });

  engineSuite({
    name: 'Redis',
    engineOf: redis,
    lacks: { order: true },
    server: { get: () => server, place },
  });

  it('has two connections, however many callbacks there are', async () => {
    const classes = Array.from({ length: 50 }, (_, index) => {
      class Answers {
        @Callback(`event ${index}`, { delivery: 'durable', id: `Answers.number${index}` }) go(what: string) {
          ran.push(what);
        }
      }
      return Object.defineProperty(Answers, 'name', { value: `Answers${index}` });
    });
    const named = () =>
      server.ask(async (client: Redis) => {
        const lines = String(await client.client('LIST')).split('\n');
        return lines.filter((line) => line.includes('name=nestjs-callbacks')).length;
      });
    const { app, events } = await startApp(classes, { engine: redis(place('connections')) });
    for (let index = 0; index < 50; index++) await events.run(`event ${index}`, `done ${index}`);
    await until(() => isIdle(app.get(EventDeliveries)));
    expect(ran).toHaveLength(50);
    expect(await named()).toBe(2);
    await app.close();
    await until(async () => (await named()) === 0);
  });

  it('is patient with its own waiting, whatever time commands of the application may take', async () => {
    const { mock } = jest.spyOn(Redis.prototype, 'sendCommand');
    const connection = { host: '127.0.0.1', port: server.port, commandTimeout: 200 };
    const { events, log } = await startApp([Emails], { engine: redis({ connection, prefix: '{patient}' }) });
    // One wait has come to its end of itself.
    const sent = (name: string, arg = '') =>
      mock.calls.filter(([command]) => command.name === name && String(command.args).startsWith(arg)).length;
    await until(() => sent('bzpopmin') - sent('client', 'UNBLOCK') >= 2);
    await events.run('x', 1);
    await until(() => ran.length === 1);
    expect(log.of('error')).toEqual([]);
  });

  it('G4: a connection that breaks breaks once', async () => {
    // The answer may take five seconds.
    const { events } = await startApp([Emails], { engine: redis({ ...place('once'), leaseMs: 1_000 }) });
    const connections = (): Promise<string[]> =>
      server.ask(async (client: Redis) => {
        const lines = String(await client.client('LIST')).split('\n');
        return lines.filter((line) => line.includes('name=nestjs-callbacks')).map((line) => line.split(' ')[0]);
      });
    const before = await connections();
    // Commands are under way when it breaks.
    const runs = Array.from({ length: 200 }, (_, index) => events.run('x', index).catch(() => {}));
    await server.ask((client: Redis) => client.client('KILL', 'TYPE', 'normal'));
    await Promise.all(runs);
    await until(async () => (await connections()).length === 2);
    const after = await connections();
    expect(before.filter((id) => after.includes(id))).toEqual([]);
    for (let times = 0; times < 60; times++) {
      await timers.sleep(100);
      await events.run('x', times);
    }
    expect(await connections()).toEqual(after);
  });

  it('C4: a server that is restarted empty is told again what names the queues, so that nothing is hidden', async () => {
    const empty = await PrivateRedis.start({ appendonly: 'no' });
    try {
      const options = { engine: redis({ url: empty.url, leaseMs: 1_000 }) };
      await startApp([Emails], options);
      // Knows the same queues, and works on none.
      const { app, events } = await startApp([Emails], { ...options, work: false });
      await events.run('x', 1);
      await until(() => ran.length === 1);
      await empty.restart();
      await again(() => events.run('x', 'fails'));
      const deliveries = app.get(EventDeliveries);
      await until(async () => (await deliveries.counts())[0].dead > 0);
      // Now for whoever looks through all queues.
      const names = () => empty.ask((client: Redis) => client.smembers('{nestjs-callbacks}:addresses'));
      await until(async () => String(await names()) === 'x/Emails.greet');
      expect((await deliveries.list()).found).toHaveLength(1);
      expect(await deliveries.retry({})).toBe(1);
    } finally {
      await closeApps();
      await empty.remove();
    }
  });

  it('a server that has forgotten its scripts is told them again', async () => {
    @Injectable()
    class Bot {
      @Callback('x', { delivery: 'durable' }) announce(what: unknown) {
        ran.push(what);
      }
    }
    const { events } = await startApp([Emails, Bot], { engine: redis(place('forgotten')) });
    await events.run('x', 1);
    await server.ask((client: Redis) => client.script('FLUSH'));
    await events.run('x', 2);
    await events.with({ delayMs: 1 }).run('x', 3);
    await until(() => ran.length === 6);
    expect(ran.toSorted()).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it('a server that may lose deliveries is warned about at boot, by the name of the setting', async () => {
    const careless = await PrivateRedis.start({
      appendonly: 'no',
      maxmemory: '50mb',
      'maxmemory-policy': 'allkeys-lru',
    });
    try {
      const log = new Log();
      await startApp([Emails], { engine: redis({ url: careless.url }) }, log);
      expect(log.of('warn')).toEqual([
        'Redis removes keys when its memory is full (maxmemory-policy allkeys-lru), deliveries included. Set it to noeviction.',
        'Redis writes no append-only file (appendonly no): when it is restarted, deliveries of the last minutes, or all, are lost. Set appendonly to yes.',
      ]);
      const quiet = new Log();
      await startApp([Emails], { engine: redis(place('quiet')) }, quiet);
      expect(quiet.of('warn')).toEqual([]);
    } finally {
      await closeApps();
      await careless.remove();
    }
  });

  it('a server without memory for more refuses a run, and stores nothing of it; what runs keeps its claim', async () => {
    const id = '01a213b0-e5d0-7fe5-9c07-7ff43c702d45';
    const full = await PrivateRedis.start({ maxmemory: '3mb' });
    const gate = deferred();
    const aborted: unknown[] = [];
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable' }) async go() {
        ran.push('slow');
        await gate.promise;
        aborted.push(currentEvent()!.signal.aborted);
      }
    }
    try {
      const slow = await startApp([Slow], { engine: redis({ url: full.url, leaseMs: 1_000 }) });
      await slow.events.with({ id }).run('slow');
      await until(() => ran.length === 1);
      const { app, events } = await startApp([Emails], { engine: redis({ url: full.url }), work: false });
      let error: unknown;
      let stored = 0;
      while (!error && stored < 1_000) {
        await events.run('x', 'x'.repeat(20_000)).then(
          () => stored++,
          (reason: unknown) => (error = reason),
        );
      }
      expect(error).toMatchObject({ code: 'EVENTS_STORE_FAILED', message: expect.stringContaining('OOM') });
      const counts = await app.get(EventDeliveries).counts();
      expect(counts.find(({ event }) => event === 'x')!.waiting).toBe(stored);

      await full.ask((client: Redis) => client.config('SET', 'maxmemory', '1mb'));
      // Longer than the claim would last without.
      await full.ask((client: Redis) => renewed(client, `{nestjs-callbacks}:slow/Slow.go:${id}:lock`, 5));
      await full.ask((client: Redis) => client.config('SET', 'maxmemory', '0'));
      gate.resolve();
      await until(() => aborted.length > 0);
      expect([ran, aborted]).toEqual([['slow'], [false]]);
    } finally {
      await closeApps();
      await full.remove();
    }
  });
});
