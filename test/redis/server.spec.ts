/** What the Redis engine takes, and promises on a server: as every engine, and of former names, turns, claims and BullMQ's own tools. */
import { isDeepStrictEqual } from 'node:util';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Queue } from 'bullmq';
import { type Command, Redis } from 'ioredis';
import { Callback, currentEvent, EventDeliveries, EventRunner } from 'nestjs-callbacks';
import { redis } from 'nestjs-callbacks/redis';
import { deferred, startApp, until } from '../support/app.js';
import { Emails, engineSuite, isIdle, ran } from '../support/engine-suite.js';
import { describeWith, findRedis } from '../support/servers.js';
import { renewed, sceneOn } from './scene.js';

describe('redis()', () => {
  engineSuite({
    name: 'Redis',
    engineOf: redis,
    refused: [
      [{}, 'redis() was given no server. Pass one of { url } and { connection }.'],
      [undefined, 'redis() was given no server. Pass one of { url } and { connection }.'],
      [
        { url: 'redis://localhost', connection: {} },
        'redis() was given url and connection. Pass one of { url } and { connection }.',
      ],
      [{ url: 'localhost:6379' }, 'redis() was given a wrong url. Pass a URL as in redis://host:6379.'],
      [
        { connection: 'redis://localhost' },
        'redis() was given a wrong connection. Pass options of ioredis, or a Redis or Cluster that it has made.',
      ],
      [
        { url: 'redis://localhost', leaseMs: 5 },
        'redis() was given leaseMs: 5. Pass milliseconds, 100 or more and 24 days at most.',
      ],
      [
        { url: 'redis://localhost', storeTimeoutMs: 3_000_000_000 },
        'redis() was given storeTimeoutMs: 3000000000. Pass milliseconds, 1 or more and 24 days at most.',
      ],
      [{ url: 'redis://localhost', prefx: 'a' }, 'redis() has no option prefx. Did you mean "prefix"?'],
    ],
    absent: {
      options: { url: 'redis://127.0.0.1:1' },
      message: /no connection to 127\.0\.0\.1:1: .*ECONNREFUSED 127\.0\.0\.1:1/,
    },
  });
});

describeWith('On a Redis server (REDIS_URL, or the local one)', await findRedis(), (url) => {
  const scene = sceneOn(url);

  engineSuite({
    name: 'Redis',
    engineOf: redis,
    lacks: {
      order: true,
      transactions: {
        of: 'Redis',
      },
    },
    place: () => scene.place,
    looks: { isShared: true, count: countLooks },
    own: [
      {
        what: 'a Redis of the application',
        async open() {
          const connection = new Redis(scene.connection);
          const isAsBefore = async () => (await connection.ping()) === 'PONG';
          return {
            options: { connection, prefix: scene.prefix },
            isAsBefore,
            close: async () => connection.disconnect(),
          };
        },
      },
      {
        what: 'options of ioredis',
        async open() {
          const { connection } = scene;
          const before = { ...connection };
          const isAsBefore = async () => isDeepStrictEqual(connection, before);
          return { options: { connection, prefix: scene.prefix }, isAsBefore, close: async () => {} };
        },
      },
    ],
    elsewhere: {
      source: 'redis({ url: process.env.REDIS_URL, prefix: process.env.PREFIX, leaseMs: 1_000 })',
      env: () => ({ REDIS_URL: url, PREFIX: scene.prefix }),
    },
  });

  /** Whoever has the duty looks through all queues. */
  async function countLooks() {
    const { mock } = jest.spyOn(Redis.prototype, 'sendCommand');
    const isLook = ({ name, args }: Command) => name === 'eval' && args.includes(`${scene.prefix}:addresses`);
    return () => mock.calls.filter(([command]) => isLook(command)).length;
  }
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('keeps deliveries as jobs that BullMQ and its dashboards can read, by names that can be read', async () => {
    const { app, events } = await startApp([Emails], scene.options());
    const deliveries = app.get(EventDeliveries);
    await events.run('x', new Date(0));
    await events.run('x', 'fails');
    await events.with({ delayMs: 60_000 }).run('x', 'later');
    await until(async () => (await deliveries.counts())[0].dead === 1 && ran.length === 3);
    await until(async () => (await deliveries.counts())[0].running === 0);

    const queue = new Queue('x/Emails.greet', { connection: { url }, prefix: scene.prefix });
    expect(await queue.getJobCounts('waiting', 'active', 'delayed', 'failed', 'completed')).toEqual({
      waiting: 0,
      active: 0,
      delayed: 1,
      failed: 1,
      completed: 1,
    });
    const [failed] = await queue.getFailed();
    expect(failed).toMatchObject({ name: 'Emails.greet', data: { arguments: ['fails'] }, failedReason: 'always' });
    expect(failed.stacktrace![0]).toContain('TypeError: always');
    expect(failed.opts).toMatchObject({ headers: { 'correlation-id': failed.id } });
    const [delayed] = await queue.getDelayed();
    const [listed] = (await deliveries.list({ state: 'waiting' })).found;
    expect([delayed.id, delayed.delay]).toEqual([listed.id, 60_000]);
    // A dashboard's "retry" and "promote".
    await failed.retry();
    await delayed.promote();
    await until(() => ran.length === 6);
    await queue.close();
  });

  it('a job of somebody else among them, with no arguments, is dead and readable, and harms nothing', async () => {
    const { app, events } = await startApp([Emails], scene.options());
    const queue = new Queue('x/Emails.greet', { connection: { url }, prefix: scene.prefix });
    await queue.add('by hand', null);
    await queue.add('by hand', { name: 'Ada' });
    const deliveries = app.get(EventDeliveries);
    const { id } = await queue.add('by hand', null, { delay: 300 });
    await scene.client.hset(`${scene.prefix}:x/Emails.greet:${id}`, 'data', 'no JSON');
    await until(async () => (await deliveries.counts())[0]?.dead === 3);
    const dead = (await deliveries.list({ state: 'dead' })).found;
    expect(dead.map(({ error }) => error!.message)).toEqual(Array(3).fill(expect.stringContaining('has no arguments')));
    await events.run('x', 'Ada');
    await until(() => ran.length === 1);
    await queue.close();
  });

  it('keeps completed ones for keepCompletedMs, and then forgets them', async () => {
    const { app, events } = await startApp([Emails], scene.options({ keepCompletedMs: 1_000 }));
    await events.run('x', 1);
    const completed = () => scene.client.zcard(`${scene.prefix}:x/Emails.greet:completed`);
    await until(async () => (await completed()) === 1);
    expect(await isIdle(app.get(EventDeliveries))).toBe(true);
    await until(async () => (await completed()) === 0);
  });

  it('knows an id under a former name, too, done or not', async () => {
    const id = '01a213b0-e5d0-7fe5-9c07-7ff43c702d43';
    const older = await startApp([Emails], scene.options());
    await older.events.with({ id }).run('x', 'once');
    await until(() => ran.length === 1);
    await older.app.close();
    @Injectable()
    class Mails {
      @Callback('x', { delivery: 'durable', formerly: 'Emails.greet' }) greet(what: unknown) {
        ran.push(what);
      }
    }
    const { app, events } = await startApp([Mails], scene.options());
    await events.with({ id }).run('x', 'twice');
    await until(() => isIdle(app.get(EventDeliveries)));
    expect(ran).toEqual(['once']);
  });

  it('performs what waits under a former name, though there is one place, and always something newer', async () => {
    const older = await startApp([Emails], scene.options({}, { work: false }));
    await older.events.run('x', 'old');
    let isDone = false;
    @Injectable()
    class Mails {
      constructor(private readonly events: EventRunner) {}
      @Callback('x', { delivery: 'durable', concurrency: 1, formerly: 'Emails.greet' }) async greet(what: unknown) {
        ran.push(what);
        isDone ||= what === 'later';
        if (!isDone) await this.events.run('x', 'new');
      }
    }
    const { app, events } = await startApp([Mails], scene.options());
    await Promise.all([1, 2, 3].map(() => events.run('x', 'new')));
    await until(() => ran.includes('old'));
    await older.events.run('x', 'later');
    await until(() => isDone);
    await until(() => isIdle(app.get(EventDeliveries)));
    // Nothing newer comes now: it is heard of all the same.
    await older.events.run('x', 'last');
    await until(() => ran.includes('last'));
  });

  it('one that fails and is due again at once holds up no other', async () => {
    @Injectable()
    class One {
      @Callback('one', { delivery: 'durable', concurrency: 1, retry: { attempts: 10_000, delayMs: 0 } }) go(
        what: string,
      ) {
        ran.push(what);
        if (what === 'bad' && ran.length < 500) throw new Error('no');
      }
    }
    const { events } = await startApp([One], scene.options());
    await events.run('one', 'bad');
    await until(() => ran.length > 0);
    await events.run('one', 'good');
    await until(() => ran.includes('good'));
    expect(ran.lastIndexOf('bad')).toBeLessThan(100);
  });

  it('a claim is not lost because an earlier one on the same delivery was', async () => {
    const gate = deferred();
    const signals: AbortSignal[] = [];
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable' }) async go() {
        const { signal, delivery } = currentEvent()!;
        ran.push(delivery!.attempt);
        signals.push(signal);
        await gate.promise;
      }
    }
    const { events } = await startApp([Slow], scene.options({ leaseMs: 1_000 }));
    const id = '01a213b0-e5d0-7fe5-9c07-7ff43c702d44';
    const lock = `${scene.prefix}:slow/Slow.go:${id}:lock`;
    await events.with({ id }).run('slow');
    await until(() => ran.length === 1);
    await scene.client.del(lock);
    await until(() => ran.length === 2);
    // Longer than it would last without.
    await renewed(scene.client, lock, 5);
    expect([ran, signals.map(({ aborted }) => aborted)]).toEqual([
      [1, 2],
      [true, false],
    ]);
    gate.resolve();
  });

  it('what is discarded while it is retried leaves nothing behind by which its id would be known', async () => {
    @Injectable()
    class Doomed {
      @Callback('doomed', { delivery: 'durable', retry: { attempts: 1 } }) go() {
        throw new Error('no');
      }
    }
    const { app, events } = await startApp([Doomed], scene.options());
    const deliveries = app.get(EventDeliveries);
    await Promise.all(Array.from({ length: 50 }, () => events.run('doomed')));
    await until(async () => (await deliveries.counts())[0]?.dead === 50);
    const ids = (await deliveries.list({ state: 'dead' })).found.map(({ id }) => id);
    await Promise.all([deliveries.retry({}), deliveries.discard({ callback: 'Doomed.go', ids }), deliveries.retry({})]);
    await until(async () => (await deliveries.counts()).every(({ waiting, running }) => waiting + running === 0));
    const dead = await scene.client.zcard(`${scene.prefix}:doomed/Doomed.go:failed`);
    const kept = await scene.client.keys(`${scene.prefix}:doomed/Doomed.go:????????-*`);
    expect(kept).toHaveLength(dead);
  });
});
