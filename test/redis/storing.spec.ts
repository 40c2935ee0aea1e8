/** What the Redis engine promises of many runs at once: large, beside small ones, or behind others. */
import { afterEach, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { type Command, Redis } from 'ioredis';
import { Callback, EventDeliveries } from 'nestjs-callbacks';
import { redis } from 'nestjs-callbacks/redis';
import { closeApps, startApp } from '../support/app.js';
import { Emails } from '../support/engine-suite.js';
import { findRedisProgram, PrivateRedis } from '../support/private-redis.mjs';
import { describeWith, findRedis } from '../support/servers.js';
import { sceneOn } from './scene.js';

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

const codesOf = async (runs: readonly Promise<unknown>[]) =>
  (await Promise.allSettled(runs)).map((result) =>
    result.status === 'fulfilled' ? 'stored' : (result.reason as { code: string }).code,
  );

const LARGE = 5_000_000;

describeWith('On a Redis server (REDIS_URL, or the local one)', await findRedis(), (url) => {
  const scene = sceneOn(url);
  afterEach(() => {
    jest.restoreAllMocks();
  });

  /** Notes of the commands that store how many are under way at once at most, and of these the large ones. */
  function underWay() {
    const most = { all: 0, large: 0 };
    let [all, large] = [0, 0];
    const { sendCommand } = Redis.prototype;
    jest.spyOn(Redis.prototype, 'sendCommand').mockImplementation(function (this: Redis, ...args) {
      const [command] = args as [Command];
      if (command.name !== 'evalsha' || !String(command.args[2]).startsWith(scene.prefix)) {
        return sendCommand.apply(this, args);
      }
      const isLarge = command.args.some((arg) => String(arg).length >= LARGE);
      most.all = Math.max(most.all, ++all);
      if (isLarge) most.large = Math.max(most.large, ++large);
      command.promise
        .finally(() => {
          all--;
          if (isLarge) large--;
        })
        .catch(() => {});
      return sendCommand.apply(this, args);
    });
    return most;
  }

  it('runs of several callbacks are sent as one command, which says what was not stored', async () => {
    @Injectable()
    class Both {
      @Callback('both', { delivery: 'durable' }) one() {}
      @Callback('both', { delivery: 'durable' }) other() {}
    }
    const { app, events } = await startApp([Both], scene.options({}, { work: false }));
    const sent = jest.spyOn(Redis.prototype, 'sendCommand');
    await events.run('both');
    await events.with({ delayMs: 3_600_000 }).run('both');
    expect(sent.mock.calls.map(([command]) => (command as Command).name)).toEqual(['eval', 'evalsha']);
    expect(await app.get(EventDeliveries).counts()).toMatchObject([
      { callback: 'Both.one', waiting: 1, delayed: 1 },
      { callback: 'Both.other', waiting: 1, delayed: 1 },
    ]);

    const client = new Redis(url);
    const breakList = (callback: string) => client.set(`${scene.prefix}:both/${callback}:wait`, 'no list');
    try {
      await breakList('Both.other');
      await expect(events.run('both')).rejects.toMatchObject({ code: 'EVENTS_STORE_UNKNOWN' });
      await breakList('Both.one');
      await expect(events.run('both')).rejects.toMatchObject({
        code: 'EVENTS_STORE_FAILED',
        message: expect.stringContaining('WRONGTYPE'),
      });
    } finally {
      client.disconnect();
    }
  });

  it('C2: twenty runs at once of five million characters each are all stored, one by one, and small ones do not wait for them', async () => {
    const { app, events } = await startApp([Emails], scene.options({}, { work: false }));
    const most = underWay();
    const stored: string[] = [];
    const run = (kind: string, what: unknown) => events.run('x', what).then(() => stored.push(kind));
    const large = numbers(20).map(() => run('large', 'x'.repeat(LARGE)));
    const small = numbers(10).map((number) => run('small', number));
    expect(new Set(await codesOf([...large, ...small]))).toEqual(new Set(['stored']));
    expect(most.large).toBe(1);
    expect(stored.slice(0, 12).filter((kind) => kind === 'small')).toHaveLength(10);
    expect(await app.get(EventDeliveries).counts()).toMatchObject([{ waiting: 30 }]);
  });

  it.each([1, 2])(
    'C25: a run that is too large for any string fails alone, and says so, with %i callbacks',
    async (count) => {
      @Injectable()
      class Second {
        @Callback('x', { delivery: 'durable' }) go() {}
      }
      // Writing so much keeps the process from reading for seconds, in which a socket may be given up.
      const patient = { leaseMs: 60_000, storeTimeoutMs: 60_000 };
      const { app, events } = await startApp([Emails, Second].slice(0, count), scene.options(patient, { work: false }));
      // Six characters of JSON each.
      const large = numbers(18).map(() => '\x01'.repeat(LARGE));
      const results = await Promise.allSettled([1, large, 2].map((what) => events.run('x', what)));
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(results[1]).toMatchObject({
        reason: {
          code: 'EVENTS_STORE_FAILED',
          message: expect.stringContaining('its arguments are too large to be written as JSON: Invalid string length'),
        },
      });
      expect(await app.get(EventDeliveries).counts()).toMatchObject(Array(count).fill({ waiting: 2 }));
    },
  );

  it('B10: of ten thousand runs at once, a thousand are under way, so that none waits for longer than its server takes', async () => {
    const { app, events } = await startApp([Emails], scene.options({}, { work: false }));
    const most = underWay();
    await Promise.all(numbers(10_000).map((number) => events.run('x', number)));
    expect(most.all).toBe(1_000);
    expect(await app.get(EventDeliveries).counts()).toMatchObject([{ waiting: 10_000 }]);
  });
});

describeWith('With a Redis server of its own (redis-server)', findRedisProgram(), () => {
  it('that does not answer, what was not sent yet is surely not stored', async () => {
    const server = await PrivateRedis.start();
    try {
      const engine = redis({ url: server.url, storeTimeoutMs: 500 });
      const { app, events } = await startApp([Emails], { engine, work: false });
      server.freeze();
      const codes = await codesOf(numbers(3_000).map((number) => events.run('x', number)));
      expect(new Set(codes.slice(0, 1_000))).toEqual(new Set(['EVENTS_STORE_UNKNOWN']));
      expect(new Set(codes.slice(1_000))).toEqual(new Set(['EVENTS_STORE_FAILED']));
      server.thaw();
      await events.run('x', 'after');
      expect(await app.get(EventDeliveries).counts()).toMatchObject([{ waiting: 1_001 }]);
    } finally {
      server.thaw();
      await closeApps();
      await server.remove();
    }
  });
});
