/** What `EventsHealth` says of an engine and of what that keeps, by itself and by the endpoint of `@nestjs/terminus`. */
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, EventsHealth } from 'nestjs-callbacks';
import type { DeliveryCounts, DurableEngine } from 'nestjs-callbacks/engine';
import { closeApps, deferred, startApp, until } from '../support/app.js';
import { engineWith, startDurable } from '../delivery/durable-app.js';
import { startWithEndpoint } from '../support/health-endpoint.js';

afterEach(closeApps);
afterEach(() => {
  jest.restoreAllMocks();
});

const down = new Error('the mail server is down');

@Injectable()
class Emails {
  @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) greet(what: unknown) {
    if (what === 'fails') throw down;
  }
  @Callback('y', { delivery: 'durable', retry: { attempts: 1 } }) thank() {
    throw down;
  }
}

const NONE = { waiting: 0, delayed: 0, running: 0, dead: 0, isExact: true };

/** An engine that has counted this. */
const counting = (...found: (Partial<DeliveryCounts> & { callback: string })[]) =>
  engineWith(() => ({ counts: async () => found.map((one) => ({ event: 'x', ...NONE, ...one })) }));

/** An engine whose `counts()` is replaced when it has started, which it is to count by itself. */
function engineThat(counts: () => Promise<readonly DeliveryCounts[]>) {
  let isAsked = false;
  const ask = () => (isAsked ? counts() : Promise.resolve([]));
  return { engine: engineWith(() => ({ counts: ask })), from: () => (isAsked = true) };
}

const healthOf = async (engine: () => DurableEngine) => {
  const { app } = await startApp([Emails], { engine });
  return app.get(EventsHealth);
};

describe('EventsHealth', () => {
  it('is up where nothing is durable, and starts no engine for that', async () => {
    let starts = 0;
    const engine = engineWith((sound) => ({
      start: (host) => {
        starts++;
        return sound.start(host);
      },
    }));
    for (const options of [undefined, {}, { engine }]) {
      const { app } = await startApp([], options);
      expect(await app.get(EventsHealth).check()).toEqual({ events: { status: 'up', ...NONE } });
    }
    expect(starts).toBe(0);
  });

  it('tells what lies in the store, over all callbacks, and is up whatever that is', async () => {
    const { app, events, done } = await startDurable([Emails]);
    await events.run('x', 'fails');
    await events.run('y');
    await events.run('y');
    await done();
    await events.with({ delayMs: 60_000 }).run('x', 'later');
    expect(await app.get(EventsHealth).check('durable events')).toEqual({
      'durable events': {
        status: 'up',
        engine: 'memory',
        ...NONE,
        delayed: 1,
        dead: 3,
        callbacksWithDead: ['Emails.thank', 'Emails.greet'],
      },
    });
  });

  it('tells for how long the oldest that waits has been due', async () => {
    const { app, events } = await startDurable([Emails], { work: false });
    await events.run('x', 1);
    await until(async () => {
      const { oldestDueMs } = (await app.get(EventsHealth).check()).events;
      return oldestDueMs !== undefined && oldestDueMs >= 5;
    });
    const health = await healthOf(
      counting(
        { callback: 'A.a', waiting: 1, oldestDueAt: new Date(Date.now() - 60_000) },
        { callback: 'B.b', waiting: 1, oldestDueAt: new Date(Date.now() + 60_000), isExact: false },
      ),
    );
    const { oldestDueMs, isExact } = (await health.check()).events;
    expect(oldestDueMs).toBeGreaterThanOrEqual(60_000);
    expect(isExact).toBe(false);
  });

  it('says no time that is not over yet, where the clock of the store is ahead', async () => {
    const health = await healthOf(
      counting({ callback: 'A.a', waiting: 1, oldestDueAt: new Date(Date.now() + 60_000) }),
    );
    expect((await health.check()).events.oldestDueMs).toBe(0);
  });

  it('is down when more is dead than it is told to allow, and says where that is', async () => {
    const health = await healthOf(counting({ callback: 'A.a', dead: 2 }, { callback: 'B.b', dead: 10 }));
    expect((await health.check('events', { maxDead: 12 })).events.status).toBe('up');
    expect((await health.check('events', { maxDead: 11 })).events).toMatchObject({
      status: 'down',
      message: '12 deliveries are dead, and maxDead is 11: B.b (10), A.a (2).',
      dead: 12,
    });
    const one = await healthOf(counting({ callback: 'A.a', dead: 1, isExact: false }));
    expect((await one.check('events', { maxDead: 0 })).events.message).toBe(
      'At least 1 delivery is dead, and maxDead is 0: A.a (1).',
    );
  });

  it('names ten callbacks, however many have dead deliveries', async () => {
    const found = Array.from({ length: 12 }, (_, index) => ({ callback: `A.a${index}`, dead: 12 - index }));
    const { callbacksWithDead, message } = (await (await healthOf(counting(...found))).check('events', { maxDead: 0 }))
      .events;
    expect(callbacksWithDead).toEqual(found.slice(0, 10).map(({ callback }) => callback));
    expect(message).toMatch(/^78 deliveries .* A\.a9 \(3\) and 2 more callbacks\.$/);
  });

  it('is down when something has been due for longer than it is told to allow, and says what', async () => {
    jest.spyOn(Date, 'now').mockReturnValue(Date.UTC(2026, 0, 31));
    const due = (ms: number) => ({ waiting: 1, oldestDueAt: new Date(Date.now() - ms) });
    const health = await healthOf(
      counting({ callback: 'A.a', ...due(60_000) }, { callback: 'B.b', ...due(61_000), dead: 1 }),
    );
    expect((await health.check('events', { maxOldestMs: 61_000 })).events.status).toBe('up');
    expect((await health.check('events', { maxOldestMs: 60_999, maxDead: 0 })).events).toMatchObject({
      status: 'down',
      message:
        '1 delivery is dead, and maxDead is 0: B.b (1). A delivery to B.b has been due for 61000 ms, and maxOldestMs is 60999.',
      oldestDueMs: 61_000,
    });
  });

  it.each<[unknown[], string]>([
    [[''], "'' as its key. Pass a name, and options after it: check('events', { … })."],
    [[{ maxDead: 1 }], "{ maxDead } as its key. Pass a name, and options after it: check('events', { … })."],
    [['events', null], 'null. Pass an object.'],
    [['events', []], '[]. Pass an object.'],
    [['events', { maxDaed: 1 }], 'maxDaed: 1. Did you mean "maxDead"?'],
    [['events', { maxDead: -1 }], 'maxDead: -1. Pass a whole number, 0 or more.'],
    [['events', { maxDead: '5' }], "maxDead: '5'. Pass a whole number, 0 or more."],
    [['events', { maxOldestMs: NaN }], 'maxOldestMs: NaN. Pass milliseconds, from 0 to 316224000000 (ten years).'],
    [['events', { timeoutMs: 0 }], 'timeoutMs: 0. Pass milliseconds, 1 or more and 24 days at most.'],
  ])('refuses %j', async (args, message) => {
    const { app } = await startApp([]);
    const check = app.get(EventsHealth).check as (...args: unknown[]) => Promise<unknown>;
    await expect(check.apply(app.get(EventsHealth), args)).rejects.toMatchObject({
      code: 'EVENTS_QUERY_INVALID',
      message: `EventsHealth.check() was given ${message}`,
    });
  });

  it('is down when the engine fails, and tells no address, which may hold a password', async () => {
    const { engine, from } = engineThat(async () => {
      throw new Error('no connection to postgres://ada:secret@db.example:5432/app: it is full');
    });
    const health = await healthOf(engine);
    from();
    expect(await health.check()).toEqual({
      events: {
        status: 'down',
        engine: 'memory',
        message: 'The engine memory does not work: no connection to … it is full.',
      },
    });
  });

  it('is down when there is no answer in time, and up when there is one again', async () => {
    const gate = deferred();
    const { engine, from } = engineThat(() => gate.promise.then(() => []));
    const health = await healthOf(engine);
    from();
    expect((await health.check('events', { timeoutMs: 10 })).events).toEqual({
      status: 'down',
      engine: 'memory',
      message: 'The engine memory does not work: no answer within 10 ms.',
    });
    gate.resolve();
    expect((await health.check()).events.status).toBe('up');
  });

  it('asks once for checks that overlap, and anew after that', async () => {
    const gates = [deferred(), deferred()];
    let asked = 0;
    const { engine, from } = engineThat(() => gates[asked++].promise.then(() => []));
    const health = await healthOf(engine);
    from();
    const checks = [health.check('a'), health.check('b', { maxDead: 0 }), health.check('c', { timeoutMs: 60_000 })];
    await until(() => asked === 1);
    gates[0].resolve();
    await Promise.all(checks);
    expect(asked).toBe(1);
    gates[1].resolve();
    await health.check();
    expect(asked).toBe(2);
  });

  it('asks anew where an answer has been due for ten seconds: the next may come', async () => {
    let asked = 0;
    const { engine, from } = engineThat(() => (asked++ === 0 ? new Promise(() => {}) : Promise.resolve([])));
    const health = await healthOf(engine);
    from();
    const isUp = async () => (await health.check('events', { timeoutMs: 10 })).events.status === 'up';
    expect([await isUp(), await isUp(), asked]).toEqual([false, false, 1]);
    const now = performance.now();
    jest.spyOn(performance, 'now').mockImplementation(() => now + 10_000);
    expect([await isUp(), asked]).toEqual([true, 2]);
  });

  it('has no timer that keeps the process', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const { engine, from } = engineThat(() => new Promise(() => {}));
    const health = await healthOf(engine);
    from();
    const before = timers();
    void health.check('events', { timeoutMs: 5_000 });
    expect(timers()).toBe(before);
  });

  it('waits for an engine that is just starting, and makes no other', async () => {
    const gate = deferred();
    let [made, health]: [number, EventsHealth | undefined] = [0, undefined];
    @Injectable()
    class Monitor {
      constructor(eventsHealth: EventsHealth) {
        health = eventsHealth;
      }
    }
    const starts = engineWith((sound) => ({ start: (host) => gate.promise.then(() => sound.start(host)) }));
    const engine = () => {
      made++;
      return starts();
    };
    const starting = startApp([Emails, Monitor], { engine });
    await until(() => made === 1);
    const checking = health!.check();
    gate.resolve();
    await starting;
    expect((await checking).events.status).toBe('up');
    expect(made).toBe(1);
  });

  it('is down when the application has closed, and starts no engine any more', async () => {
    let made = 0;
    const gate = deferred();
    const { engine, from } = engineThat(() => gate.promise.then(() => Promise.reject(new Error('it has stopped'))));
    const { app } = await startApp([Emails], {
      engine: () => {
        made++;
        return engine();
      },
    });
    const health = app.get(EventsHealth);
    from();
    const during = health.check();
    await app.close();
    gate.resolve();
    const closed = { events: { status: 'down', message: 'The application has closed.' } };
    expect([await during, await health.check()]).toEqual([closed, closed]);
    expect(made).toBe(1);
  });
});

describe('The endpoint of @nestjs/terminus', () => {
  it('answers 200 with the data, dead deliveries included', async () => {
    const { ask, events } = await startWithEndpoint([Emails], { engine: engineWith(() => ({})) });
    await events.run('x', 'fails');
    await until(async () => (await ask()).body.details.events.dead === 1);
    const found = { status: 'up', engine: 'memory', ...NONE, dead: 1, callbacksWithDead: ['Emails.greet'] };
    expect(await ask()).toEqual({
      code: 200,
      body: { status: 'ok', info: { events: found }, error: {}, details: { events: found } },
    });
  });

  it('answers 503 with the reason when a limit is exceeded', async () => {
    const { ask, events } = await startWithEndpoint([Emails], { engine: engineWith(() => ({})) }, { maxDead: 0 });
    expect((await ask()).code).toBe(200);
    await events.run('x', 'fails');
    await until(async () => (await ask()).code === 503);
    const { body } = await ask();
    expect(body.status).toBe('error');
    expect(body.error.events).toMatchObject({
      status: 'down',
      message: '1 delivery is dead, and maxDead is 0: Emails.greet (1).',
      dead: 1,
    });
  });

  it('answers 200 where the application has no engine', async () => {
    const { ask } = await startWithEndpoint([], undefined);
    expect(await ask()).toMatchObject({ code: 200, body: { details: { events: { status: 'up', ...NONE } } } });
  });
});
