/** What only the Redis engine promises: servers that fail, connections, clusters, and what BullMQ's own tools see. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Queue } from 'bullmq';
import { Cluster, Redis } from 'ioredis';
import {
  Callback,
  currentEvent,
  EventDeliveries,
  EventRunner,
  type EventsOptions,
  inTransaction,
} from 'nestjs-callbacks';
import { redis, type RedisOptions } from 'nestjs-callbacks/redis';
import { closeApps, deferred, firstLines, Log, startApp, until } from '../support/app.js';
import { killWhilePerforming } from '../support/killed-instance.js';
import { findRedisProgram, PrivateRedis, PrivateRedisCluster } from '../support/private-redis.mjs';
import { describeWith, findRedis } from '../support/servers.js';

let ran: unknown[];
beforeEach(() => {
  ran = [];
});
afterEach(closeApps);

@Injectable()
class Emails {
  @Callback('x', { delivery: 'durable', retry: { attempts: 2, delayMs: 0 } }) async greet(what: unknown) {
    ran.push(what);
    if (what === 'fails') throw new TypeError('always');
  }
}

const withEngine = (engine: RedisOptions, more?: EventsOptions) => ({ engine: redis(engine), ...more });
const idle = async (deliveries: EventDeliveries) =>
  (await deliveries.counts()).every(({ waiting, delayed, running }) => waiting + delayed + running === 0);

describe('redis()', () => {
  it.each<[any, string]>([
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
      'redis() was given a wrong leaseMs. Pass milliseconds, 100 or more and 24 days at most.',
    ],
    [
      { url: 'redis://localhost', storeTimeoutMs: 3_000_000_000 },
      'redis() was given a wrong storeTimeoutMs. Pass milliseconds, 1 or more and 24 days at most.',
    ],
    [{ url: 'redis://localhost', prefx: 'a' }, 'redis() has no option prefx. Did you mean "prefix"?'],
  ])('refuses %p', async (options, message) => {
    await expect(startApp([Emails], withEngine(options))).rejects.toMatchObject({
      code: 'EVENTS_OPTION_INVALID',
      message: `EventsModule was configured with a wrong engine: ${message}`,
    });
  });

  it('says at boot that no server is there', async () => {
    await expect(startApp([Emails], withEngine({ url: 'redis://127.0.0.1:1' }))).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
      message: expect.stringMatching(
        /^The engine Redis could not start: no connection to 127\.0\.0\.1:1: .*ECONNREFUSED 127\.0\.0\.1:1/,
      ),
    });
  });
});

describeWith('On a Redis server (REDIS_URL, or the local one)', await findRedis(), (url) => {
  let client: Redis;
  let prefix: string;
  let prefixes = 0;
  beforeAll(() => {
    client = new Redis(url);
  });
  afterAll(() => client.disconnect());
  beforeEach(() => {
    prefix = `{specs-${process.pid}-${++prefixes}}`;
  });
  afterEach(async () => {
    await closeApps();
    const keys = await client.keys(`${prefix}:*`);
    if (keys.length > 0) await client.del(keys);
  });

  it('refuses at boot what it cannot do, by the name of who asks for it', async () => {
    @Injectable()
    class Ordered {
      @Callback('ordered', { delivery: 'durable', ordered: true }) greet() {}
    }
    await expect(startApp([Emails, Ordered], withEngine({ url, prefix }))).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_UNSUITED',
      message:
        'Ordered.greet asks for ordered: true, which the engine Redis cannot do. Remove the option, or choose another engine.',
    });
  });

  it('stores what a transaction of a database runs when that has committed, and not when it was rolled back', async () => {
    const { app, events } = await startApp([Emails], withEngine({ url, prefix }));
    const open = (work: (tx: object) => Promise<void>) => work({});
    await inTransaction(open, () => events.run('x', 'committed'));
    const failing = inTransaction(open, async () => {
      await events.run('x', 'rolled back');
      throw new Error('veto');
    });
    await expect(failing).rejects.toThrow('veto');
    await until(() => idle(app.get(EventDeliveries)));
    expect(ran).toEqual(['committed']);
    await expect(events.with({ tx: { query: async () => ({ rows: [] }) } }).run('x')).rejects.toMatchObject({
      code: 'EVENTS_COMMIT_UNSEEN',
    });
  });

  it('cannot complete a delivery in a transaction, and says so', async () => {
    @Injectable()
    class Exact {
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) async go() {
        await currentEvent()!.delivery!.completeIn({ query: async () => ({ rows: [] }) });
      }
    }
    const { app, events } = await startApp([Exact], withEngine({ url, prefix }));
    await events.run('x');
    const deliveries = app.get(EventDeliveries);
    await until(async () => (await deliveries.list()).length === 1);
    expect((await deliveries.list())[0].error?.message).toBe(
      'The Redis engine takes no transactions. Complete the delivery without one.',
    );
  });

  it.each(['a Redis of the application', 'options'])('takes %s as connection, and leaves it open', async (kind) => {
    const options = { host: new URL(url).hostname, port: Number(new URL(url).port || 6379) };
    const own = new Redis(options);
    const connection = kind === 'options' ? options : own;
    const { app, events } = await startApp([Emails], withEngine({ connection, prefix }));
    await events.run('x', 'Ada');
    await until(() => ran.length === 1);
    await app.close();
    expect(await own.ping()).toBe('PONG');
    own.disconnect();
  });

  it('keeps deliveries as jobs that BullMQ and its dashboards can read, by names that can be read', async () => {
    const { app, events } = await startApp([Emails], withEngine({ url, prefix }));
    const deliveries = app.get(EventDeliveries);
    await events.run('x', new Date(0));
    await events.run('x', 'fails');
    await events.with({ delayMs: 60_000 }).run('x', 'later');
    await until(async () => (await deliveries.counts())[0].dead === 1 && ran.length === 3);
    await until(async () => (await deliveries.counts())[0].running === 0);

    const queue = new Queue('x/Emails.greet', { connection: { url }, prefix });
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
    const [delayed] = await queue.getDelayed();
    const [listed] = await deliveries.list({ state: 'waiting' });
    expect([delayed.id, delayed.delay]).toEqual([listed.id, 60_000]);
    // A dashboard's "retry" and "promote".
    await failed.retry();
    await delayed.promote();
    await until(() => ran.length === 6);
    await queue.close();
  });

  it('a job of somebody else among them, with no arguments, is dead and readable, and harms nothing', async () => {
    const { app, events } = await startApp([Emails], withEngine({ url, prefix }));
    const queue = new Queue('x/Emails.greet', { connection: { url }, prefix });
    await queue.add('by hand', null);
    await queue.add('by hand', { name: 'Ada' });
    const deliveries = app.get(EventDeliveries);
    const { id } = await queue.add('by hand', null, { delay: 300 });
    await client.hset(`${prefix}:x/Emails.greet:${id}`, 'data', 'no JSON');
    await until(async () => (await deliveries.counts())[0]?.dead === 3);
    const dead = await deliveries.list({ state: 'dead' });
    expect(dead.map(({ error }) => error!.message)).toEqual(
      Array(3).fill(expect.stringContaining('could not be read')),
    );
    await events.run('x', 'Ada');
    await until(() => ran.length === 1);
    await queue.close();
  });

  it('lists when deliveries were stored, are due, or died', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable', retry: { attempts: 2, delayMs: 60_000 } }) async go(what: string) {
        if (what === 'waits') await gate.promise;
        throw new Error('no');
      }
    }
    const { app, events } = await startApp([Slow], withEngine({ url, prefix }));
    const deliveries = app.get(EventDeliveries);
    const from = Date.now();
    await events.run('slow', 'waits');
    await events.run('slow', 'retried');
    await until(async () => (await deliveries.list({ state: 'waiting' })).length === 1);
    const [retried] = await deliveries.list({ state: 'waiting' });
    const [running] = await deliveries.list({ state: 'running' });
    const near = (date: Date, ms: number) => Math.abs(date.getTime() - ms) < 20_000;
    expect(retried.attempts).toBe(1);
    expect(retried.error).toMatchObject({ name: 'Error', message: 'no' });
    expect(near(retried.since, from + 67_000)).toBe(true);
    expect([near(running.since, from), near(running.storedAt, from)]).toEqual([true, true]);
    gate.resolve();
  });

  it('keeps completed ones for keepCompletedMs, and then forgets them', async () => {
    const { app, events } = await startApp([Emails], withEngine({ url, prefix, keepCompletedMs: 1_000 }));
    await events.run('x', 1);
    const completed = () => client.zcard(`${prefix}:x/Emails.greet:completed`);
    await until(async () => (await completed()) === 1);
    expect(await idle(app.get(EventDeliveries))).toBe(true);
    await until(async () => (await completed()) === 0);
  });

  it('knows an id under a former name, too, done or not', async () => {
    const id = '01a213b0-e5d0-7fe5-9c07-7ff43c702d43';
    const older = await startApp([Emails], withEngine({ url, prefix }));
    await older.events.with({ id }).run('x', 'once');
    await until(() => ran.length === 1);
    await older.app.close();
    @Injectable()
    class Mails {
      @Callback('x', { delivery: 'durable', formerly: 'Emails.greet' }) greet(what: unknown) {
        ran.push(what);
      }
    }
    const { app, events } = await startApp([Mails], withEngine({ url, prefix }));
    await events.with({ id }).run('x', 'twice');
    await until(() => idle(app.get(EventDeliveries)));
    expect(ran).toEqual(['once']);
  });

  it('performs what waits under a former name, though there is one place, and always something newer', async () => {
    const older = await startApp([Emails], withEngine({ url, prefix }, { work: false }));
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
    const { app, events } = await startApp([Mails], withEngine({ url, prefix }));
    await Promise.all([1, 2, 3].map(() => events.run('x', 'new')));
    await until(() => ran.includes('old'));
    await older.events.run('x', 'later');
    await until(() => isDone);
    await until(() => idle(app.get(EventDeliveries)));
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
    const { events } = await startApp([One], withEngine({ url, prefix }));
    await events.run('one', 'bad');
    await until(() => ran.length > 0);
    await events.run('one', 'good');
    await until(() => ran.includes('good'));
    expect(ran.lastIndexOf('bad')).toBeLessThan(100);
  });

  it('a claim is not lost because an earlier one on the same delivery was', async () => {
    const gate = deferred();
    const aborted: unknown[] = [];
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable' }) async go() {
        const { signal, delivery } = currentEvent()!;
        ran.push(delivery!.attempt);
        if (delivery!.attempt === 1) return gate.promise;
        await new Promise((resolve) => setTimeout(resolve, 2_000));
        aborted.push(signal.aborted);
      }
    }
    const { events } = await startApp([Slow], withEngine({ url, prefix, leaseMs: 1_000 }));
    const id = '01a213b0-e5d0-7fe5-9c07-7ff43c702d44';
    await events.with({ id }).run('slow');
    await until(() => ran.length === 1);
    await client.del(`${prefix}:slow/Slow.go:${id}:lock`);
    await until(() => aborted.length === 1);
    gate.resolve();
    expect([ran, aborted]).toEqual([[1, 2], [false]]);
  });

  it('what is discarded while it is retried leaves nothing behind by which its id would be known', async () => {
    @Injectable()
    class Doomed {
      @Callback('doomed', { delivery: 'durable', retry: { attempts: 1 } }) go() {
        throw new Error('no');
      }
    }
    const { app, events } = await startApp([Doomed], withEngine({ url, prefix }));
    const deliveries = app.get(EventDeliveries);
    await Promise.all(Array.from({ length: 50 }, () => events.run('doomed')));
    await until(async () => (await deliveries.counts())[0]?.dead === 50);
    const ids = (await deliveries.list({ state: 'dead' })).map(({ id }) => id);
    await Promise.all([deliveries.retry({}), deliveries.discard({ ids }), deliveries.retry({})]);
    await until(async () => (await deliveries.counts()).every(({ waiting, running }) => waiting + running === 0));
    const dead = await client.zcard(`${prefix}:doomed/Doomed.go:failed`);
    const kept = await client.keys(`${prefix}:doomed/Doomed.go:????????-*`);
    expect(kept).toHaveLength(dead);
  });

  it('a delivery begins elsewhere at once, also when the one that rings first has no room', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable', concurrency: 1 }) async go(what: string) {
        ran.push(what);
        if (what === 'first') await gate.promise;
      }
    }
    const [one] = [
      await startApp([Slow], withEngine({ url, prefix })),
      await startApp([Slow], withEngine({ url, prefix })),
    ];
    await one.events.run('slow', 'first');
    await until(() => ran.length === 1);
    await expectToBeginAtOnce(async (number) => {
      await one.events.run('slow', `${number}`);
      await until(() => ran.length === number + 2);
    });
    gate.resolve();
  });

  it('a delivery begins at once, also when the only place was just left by one that failed', async () => {
    @Injectable()
    class Doomed {
      @Callback('doomed', { delivery: 'durable', concurrency: 1, retry: { attempts: 1 } }) go(number: number) {
        ran.push(number);
        throw new Error('no');
      }
    }
    const { app, events } = await startApp([Doomed], withEngine({ url, prefix }));
    await expectToBeginAtOnce(async (number) => {
      await events.run('doomed', number);
      await until(() => ran.length === number + 1);
      await until(async () => (await app.get(EventDeliveries).counts())[0].dead === number + 1);
    });
  });

  /** It looks once a second after what nobody has told it. */
  async function expectToBeginAtOnce(work: (number: number) => Promise<void>) {
    const waits: number[] = [];
    for (let number = 0; number < 20; number++) {
      const at = performance.now();
      await work(number);
      waits.push(performance.now() - at);
    }
    expect(waits.sort((a, b) => a - b)[15]).toBeLessThan(500);
  }

  it('what an instance was doing when it was killed is done by another, soon after the lease', async () => {
    const engine = 'redis({ url: process.env.REDIS_URL, prefix: process.env.PREFIX, leaseMs: 2_000 })';
    await killWhilePerforming(engine, { REDIS_URL: url, PREFIX: prefix });
    @Injectable()
    class Same {
      @Callback('x', { delivery: 'durable', id: 'Emails.greet' }) greet(who: string) {
        ran.push(`${who}, attempt ${currentEvent()!.delivery!.attempt}`);
      }
    }
    await startApp([Same], withEngine({ url, prefix, leaseMs: 2_000 }));
    await until(() => ran.length === 1);
    expect(ran).toEqual(['Ada, attempt 2']);
  });
});

describeWith('With a Redis server of its own (redis-server)', findRedisProgram(), () => {
  let server: PrivateRedis;
  beforeAll(async () => {
    server = await PrivateRedis.start();
  });
  afterAll(() => server.remove());

  const again = (work: () => Promise<void>) =>
    until(() =>
      work().then(
        () => true,
        () => false,
      ),
    );

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
    const { app, events } = await startApp(classes, withEngine({ url: server.url, prefix: '{connections}' }));
    for (let index = 0; index < 50; index++) await events.run(`event ${index}`, `done ${index}`);
    await until(() => idle(app.get(EventDeliveries)));
    expect(ran).toHaveLength(50);
    expect(await named()).toBe(2);
    await app.close();
    await until(async () => (await named()) === 0);
  });

  it('is patient with its own waiting, whatever time commands of the application may take', async () => {
    const connection = { host: '127.0.0.1', port: server.port, commandTimeout: 200 };
    const { events, log } = await startApp([Emails], withEngine({ connection, prefix: '{patient}' }));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await events.run('x', 1);
    await until(() => ran.length === 1);
    expect(log.of('error')).toEqual([]);
  });

  it('a server that has forgotten its scripts is told them again', async () => {
    @Injectable()
    class Bot {
      @Callback('x', { delivery: 'durable' }) announce(what: unknown) {
        ran.push(what);
      }
    }
    const { events } = await startApp([Emails, Bot], withEngine({ url: server.url, prefix: '{forgotten}' }));
    await events.run('x', 1);
    await server.ask((client: Redis) => client.script('FLUSH'));
    await events.run('x', 2);
    await events.with({ delayMs: 1 }).run('x', 3);
    await until(() => ran.length === 6);
    expect(ran.toSorted()).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it('a run fails at once while it is stopped, and work goes on when it is back, with all that was acknowledged', async () => {
    // Longer than a test may take: nothing here fails by waiting for it.
    const options = withEngine({ url: server.url, prefix: '{stopped}', storeTimeoutMs: 600_000 });
    const { app, events, log } = await startApp([Emails], options);
    await events.run('x', 1);
    await until(() => ran.length === 1);
    await events.with({ delayMs: 500 }).run('x', 'acknowledged');
    await server.stop();

    // What is sent before the end of the connection is noticed may have arrived.
    const codeOf = () =>
      events.run('x', 'lost').then(
        () => 'stored',
        ({ code }: { code: string }) => code,
      );
    await until(async () => (await codeOf()) === 'EVENTS_STORE_FAILED');
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => events.run('x', 'lost')));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'EVENTS_STORE_FAILED' } });

    await until(() => log.of('error').some((line) => line.startsWith('Redis does not work')));
    await server.start();
    await again(() => events.run('x', 2));
    await until(() => ran.includes(2) && ran.includes('acknowledged'));
    await until(() => log.of('log').some((line) => line.startsWith('Redis works again, after ')));
    expect(firstLines(log.of('error')).filter((line) => line.startsWith('Redis does not work'))).toHaveLength(1);
    await until(() => idle(app.get(EventDeliveries)));
    expect(ran).not.toContain('lost');
  });

  it('a run to a frozen one fails within storeTimeoutMs, with the outcome unknown; the same id makes sure', async () => {
    const options = withEngine({ url: server.url, prefix: '{frozen}', storeTimeoutMs: 1_000 });
    const { events } = await startApp([Emails], options);
    await events.run('x', 1);
    await until(() => ran.length === 1);
    server.freeze();
    let error: { code: string; id: string } | undefined;
    try {
      await events.run('x', 2).catch((reason: typeof error) => (error = reason));
      expect(error).toMatchObject({ code: 'EVENTS_STORE_UNKNOWN' });
    } finally {
      server.thaw();
    }
    await again(() => events.with({ id: error!.id }).run('x', 2));
    await until(() => ran.length === 2);
    expect(ran).toEqual([1, 2]);
  });

  it('an attempt that ends while it is away is completed when it is back, and does not run twice', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable' }) async go() {
        ran.push(currentEvent()!.delivery!.attempt);
        await gate.promise;
      }
    }
    const { app, events } = await startApp([Slow], withEngine({ url: server.url, prefix: '{slow}' }));
    await events.run('slow');
    await until(() => ran.length === 1);
    await server.stop();
    gate.resolve();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await server.start();
    await until(() =>
      idle(app.get(EventDeliveries)).then(
        (isIdle) => isIdle,
        () => false,
      ),
    );
    expect(ran).toEqual([1]);
    expect((await app.get(EventDeliveries).counts())[0].dead).toBe(0);
  });

  it('deliveries outlast a server that is killed, with those that were running', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable', concurrency: 1 }) async go(what: number) {
        await gate.promise;
        ran.push(what);
      }
    }
    const options = withEngine({ url: server.url, prefix: '{killed}', leaseMs: 1_000 });
    const { app, events } = await startApp([Slow], options);
    for (let number = 0; number < 50; number++) await events.run('slow', number);
    await server.restart('SIGKILL');
    gate.resolve();
    await until(() => new Set(ran).size === 50);
    await until(() => idle(app.get(EventDeliveries)));
    expect(ran.length).toBeLessThan(53);
  });

  it('a server that may lose deliveries is warned about at boot, by the name of the setting', async () => {
    const careless = await PrivateRedis.start({
      appendonly: 'no',
      maxmemory: '50mb',
      'maxmemory-policy': 'allkeys-lru',
    });
    try {
      const log = new Log();
      await startApp([Emails], withEngine({ url: careless.url }), log);
      expect(log.of('warn')).toEqual([
        'Redis removes keys when its memory is full (maxmemory-policy allkeys-lru), deliveries included. Set it to noeviction.',
        'Redis writes no append-only file (appendonly no): when it is restarted, deliveries of the last minutes, or all, are lost. Set appendonly to yes.',
      ]);
      const quiet = new Log();
      await startApp([Emails], withEngine({ url: server.url, prefix: '{quiet}' }), quiet);
      expect(quiet.of('warn')).toEqual([]);
    } finally {
      await closeApps();
      await careless.remove();
    }
  });

  it('a server without memory for more refuses a run, and stores nothing of it; what runs keeps its claim', async () => {
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
      const slow = await startApp([Slow], withEngine({ url: full.url, leaseMs: 1_000 }));
      await slow.events.run('slow');
      await until(() => ran.length === 1);
      const { app, events } = await startApp([Emails], withEngine({ url: full.url }, { work: false }));
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
      await new Promise((resolve) => setTimeout(resolve, 2_500));
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
    const { app, events } = await startApp([Emails, More], withEngine({ connection }));
    const deliveries = app.get(EventDeliveries);
    await events.run('x', 'Ada');
    await events.run('x', 'fails');
    await until(async () => (await deliveries.list()).length === 1 && (await idle(deliveries)));
    expect(ran.map(String).sort()).toEqual(['Ada', 'also Ada', 'also fails', 'fails', 'fails']);
    expect(await deliveries.retry({ callback: 'Emails.greet' })).toBe(1);
    await until(() => ran.length === 7);
  });

  it('a prefix without a hash tag is refused at boot', async () => {
    await expect(startApp([Emails], withEngine({ connection, prefix: 'a{}b{c}' }))).rejects.toThrow('has no hash tag');
    await expect(startApp([Emails], withEngine({ connection, prefix: 'mine' }))).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
      message: expect.stringContaining(
        'the prefix "mine" has no hash tag, and a Redis Cluster would spread the keys of one delivery over several nodes. Write it as "{mine}".',
      ),
    });
  });
});
