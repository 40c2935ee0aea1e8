/** What an application with durable callbacks promises, on any engine: when it does not start, what it says, how it closes. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { type DurableEngine } from 'nestjs-callbacks/engine';
import { Callback, currentEvent, EventDeliveries, EventRunner } from 'nestjs-callbacks';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { closeApps, deferred, Log, startApp, turn, until } from '../support/app.js';
import { engine, engineWith, startDurable } from './durable-app.js';

let ran: unknown[];

beforeEach(() => {
  ran = [];
});

afterEach(closeApps);

describe('The application', () => {
  @Injectable()
  class Answers {
    @Callback('x', { delivery: 'durable' }) go(what: string) {
      ran.push(what);
    }
  }

  it('does not start without an engine, and says what to add', async () => {
    await expect(startApp([Answers])).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_MISSING',
      message:
        'Answers.go asks for durable deliveries of "x", and EventsModule has no engine that stores deliveries. ' +
        "Add one: EventsModule.forRoot({ engine: postgres({ connectionString }) }), with postgres from 'nestjs-callbacks/postgres'; without a server, postgres({ folder: '.data' }).",
    });
    const { app } = await startApp([]);
    await expect(app.get(EventDeliveries).list()).rejects.toMatchObject({ code: 'EVENTS_ENGINE_MISSING' });
  });

  it.each<[string, (stopped: () => void) => Partial<DurableEngine>, string]>([
    [
      'does not start',
      () => ({ start: () => Promise.reject(new Error('password authentication failed')) }),
      'The engine memory could not start: password authentication failed. The application has not started; mend that, and start it again.',
    ],
    [
      'does not take a callback',
      () => ({ declare: () => Promise.reject(new Error('read-only')) }),
      'The engine memory could not make room for Answers.go: read-only. The application has not started; mend that, and start it again.',
    ],
    [
      'does not count',
      () => ({ counts: () => Promise.reject(new Error('no such table')) }),
      'The engine memory could not count what it keeps: no such table. The application has not started; mend that, and start it again.',
    ],
  ])('does not start when the engine %s, and leaves nothing behind', async (_, replace, message) => {
    let stops = 0;
    const broken = engineWith((engine) => ({
      ...replace(() => {}),
      stop: async () => {
        stops++;
        await engine.stop();
      },
    }));
    await expect(startApp([Answers], { engine: broken })).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
      message,
    });
    expect(stops).toBe(1);
  });

  it('does not start with an ordered callback on an engine without order', async () => {
    @Injectable()
    class Ordered {
      @Callback('x', { delivery: 'durable', ordered: true }) go() {}
    }
    const unordered = engineWith(() => ({ capabilities: { transactions: false, order: false } }));
    await expect(startApp([Ordered], { engine: unordered })).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_UNSUITED',
      message:
        'Ordered.go asks for ordered: true, which the engine memory cannot do. Remove the option, or choose another engine.',
    });
  });

  it('does not start with two durable callbacks at one address', async () => {
    const twice = {
      providers: [
        { provide: 'one', useClass: Answers },
        { provide: 'two', useClass: Answers },
      ],
    };
    await expect(startApp(twice, { engine })).rejects.toMatchObject({
      code: 'EVENTS_CALLBACK_AMBIGUOUS',
      message:
        'Deliveries of "x" to Answers.go could not be told apart: several callbacks have that id. ' +
        "Give each callback an id of its own: @Callback(event, { delivery: 'durable', id: … }).",
    });
    @Injectable()
    class Renamed {
      @Callback('x', { delivery: 'durable', formerly: 'Answers.go' }) go() {}
    }
    await expect(startApp([Answers, Renamed], { engine })).rejects.toMatchObject({
      code: 'EVENTS_CALLBACK_AMBIGUOUS',
      message: expect.stringContaining('it is, or was, the id of Answers.go and of Renamed.go'),
    });
  });

  it('stores and does not work, with work: false', async () => {
    const store = new MemoryStore();
    const shared = { engine: memoryEngine({ store }) };
    const web = await startDurable([Answers], { ...shared, work: false });
    await web.events.run('x', 'Ada');
    await turn();
    await turn();
    expect(ran).toEqual([]);
    const worker = await startDurable([Answers], shared);
    await worker.done();
    expect(ran).toEqual(['Ada']);
  });

  it('says at its start what it does not know, and what is dead', async () => {
    const store = new MemoryStore();
    const shared = { engine: memoryEngine({ store }) };
    @Injectable()
    class Older {
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) fail() {
        throw new Error('always');
      }
      @Callback('y', { delivery: 'durable' }) gone() {}
    }
    const older = await startDurable([Older], shared);
    await older.events.run('x');
    await older.done();
    await older.events.with({ delayMs: 60_000 }).run('y');
    await older.app.close();

    const log = new Log();
    @Injectable()
    class Newer {
      @Callback('x', { delivery: 'durable', id: 'Older.fail' }) fail() {}
    }
    const newer = await startDurable([Newer], shared, log);
    expect(log.of('warn')).toEqual([
      'There are deliveries to callbacks that this instance does not know: 1 of "y" to Older.gone. They wait for an instance that does. ' +
        'If a callback was renamed, name its old id: @Callback(event, { formerly: … }).',
      'There are dead deliveries: 1 of "x" to Older.fail. Look into them with EventDeliveries.',
    ]);
    expect(await newer.deliveries.counts()).toEqual([
      {
        event: 'x',
        callback: 'Older.fail',
        waiting: 0,
        delayed: 0,
        running: 0,
        dead: 1,
        isExact: true,
        isKnown: true,
        lastHour: { dead: 1, completed: 0, isExact: true },
      },
      {
        event: 'y',
        callback: 'Older.gone',
        waiting: 0,
        delayed: 1,
        running: 0,
        dead: 0,
        isExact: true,
        isKnown: false,
        lastHour: { dead: 0, completed: 0, isExact: true },
      },
    ]);
  });

  it('takes defaults for all callbacks, of which each may say otherwise', async () => {
    @Injectable()
    class Failing {
      @Callback('x', { delivery: 'durable' }) usual() {
        ran.push('usual');
        throw new Error('always');
      }
      @Callback('x', { delivery: 'durable', retry: { attempts: 3 } }) special() {
        ran.push('special');
        throw new Error('always');
      }
    }
    const { events, done } = await startDurable([Failing], { durable: { retry: { attempts: 2, delayMs: 0 } } });
    await events.run('x');
    await done();
    expect(ran.toSorted()).toEqual(['special', 'special', 'special', 'usual', 'usual']);
  });
});

describe('Closing', () => {
  let gate: ReturnType<typeof deferred>;
  beforeEach(() => {
    gate = deferred();
  });
  afterEach(() => gate.resolve());

  @Injectable()
  class Slow {
    @Callback('x', { delivery: 'durable', concurrency: 1 }) async go(what: string) {
      ran.push(`${what} begins, attempt ${currentEvent()!.delivery!.attempt}`);
      await gate.promise;
      ran.push(`${what} ends`);
    }
  }
  @Injectable()
  class Pool {
    onModuleDestroy() {
      ran.push('pool closed');
    }
  }

  it('waits for what runs, begins nothing more, and leaves the rest to others', async () => {
    const store = new MemoryStore();
    const shared = { engine: memoryEngine({ store }) };
    const { app, events } = await startDurable([Pool, Slow], shared);
    await events.run('x', 'first');
    await events.run('x', 'second');
    await until(() => ran.length === 1);
    const closed = app.close();
    await turn();
    gate.resolve();
    await closed;
    expect(ran).toEqual(['first begins, attempt 1', 'first ends', 'pool closed']);

    const other = await startDurable([Slow], shared);
    await other.done();
    expect(ran.slice(3)).toEqual(['second begins, attempt 1', 'second ends']);
    await expect(app.get(EventDeliveries).counts()).rejects.toMatchObject({
      code: 'EVENTS_CLOSED',
      message:
        'The deliveries were asked for after the application had closed. Ask before, or await app.close() later.',
    });
  });

  it('hands back at shutdownTimeout what has not finished: at once, without costing it an attempt', async () => {
    const store = new MemoryStore();
    const shared = { engine: memoryEngine({ store }), shutdownTimeout: 20 };
    const { app, events, log } = await startDurable([Pool, Slow], shared);
    await events.run('x', 'Ada');
    await until(() => ran.length === 1);
    await app.close();

    expect(log.of('error')[0]).toContain(
      'The application closed, and after 20 ms these had not finished: Slow.go (durable).',
    );
    const other = await startDurable([Slow], shared);
    await until(() => ran.length === 3);
    expect(ran).toEqual(['Ada begins, attempt 1', 'pool closed', 'Ada begins, attempt 1']);
    gate.resolve();
    await other.done();
    expect(log.of('error')).toHaveLength(1);
  });

  it('leaves open whether a run is stored that it gives up while that is being stored', async () => {
    const engine = () => {
      const made = memoryEngine()();
      made.store = () => new Promise(() => {});
      return made;
    };
    const { app, events } = await startApp([Slow], { engine, shutdownTimeout: 20 });
    const runs = [events.run('x', 'Ada'), events.runSettled('x', 'Ada'), events.runParallel('x', 'Ada')];
    await app.close();
    for (const run of runs) {
      await expect(run).rejects.toMatchObject({
        code: 'EVENTS_STORE_UNKNOWN',
        id: expect.any(String),
        cause: { code: 'EVENTS_SHUTDOWN_TIMEOUT' },
      });
    }
  });

  it('still stores what is run until the server has closed', async () => {
    const store = new MemoryStore();
    const shared = { engine: memoryEngine({ store }) };
    @Injectable()
    class Late {
      constructor(private readonly events: EventRunner) {}
      async beforeApplicationShutdown() {
        await this.events.run('x', 'late');
      }
    }
    const { app } = await startDurable([Slow, Late], shared);
    gate.resolve();
    await app.close();
    expect(ran).toEqual([]);
    const other = await startDurable([Slow], shared);
    await other.done();
    expect(ran).toEqual(['late begins, attempt 1', 'late ends']);
  });
});
