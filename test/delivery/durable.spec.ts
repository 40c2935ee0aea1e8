/** What `delivery: 'durable'` promises of any engine: what is stored and when, attempts, retries, dead letters, closing. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  type CallHandler,
  type CanActivate,
  ConflictException,
  type ExecutionContext,
  Inject,
  Injectable,
  Module,
  type OnModuleInit,
  Scope,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { LazyModuleLoader, REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { type DurableEngine, UnknownOutcomeError } from 'nestjs-callbacks/engine';
import {
  Callback,
  type CallbackFailure,
  type CallbackTrace,
  currentEvent,
  type CurrentEvent,
  defineEvent,
  DeliveryRefused,
  EventDeliveries,
  EventRunner,
  EventsModule,
} from 'nestjs-callbacks';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { z } from 'zod';
import { closeApps, deferred, firstLines, Log, startApp, turn, until } from '../support/app.js';

let ran: unknown[];
beforeEach(() => {
  ran = [];
});
afterEach(async () => {
  jest.useRealTimers();
  await closeApps();
});

const NOW = { attempts: 3, delayMs: 0 };
const engine = memoryEngine();

/** An application with a memory engine, and what its deliveries have come to. */
async function startDurable(...[what, options, log]: Parameters<typeof startApp>) {
  const started = await startApp(what, { engine, ...options }, log);
  const deliveries = started.app.get(EventDeliveries);
  const counted = async (field: 'waiting' | 'delayed' | 'running' | 'dead') =>
    (await deliveries.counts()).reduce((sum, count) => sum + count[field], 0);
  /** All are performed, or dead. */
  const done = () =>
    until(async () =>
      (await deliveries.counts()).every(({ waiting, delayed, running }) => waiting + delayed + running === 0),
    );
  return { ...started, deliveries, counted, done };
}

/** An engine of which some methods are replaced. */
const engineWith = (replace: (engine: DurableEngine) => Partial<DurableEngine>) => () => {
  const sound = engine();
  return new Proxy(sound, {
    get: (target, name: keyof DurableEngine) => {
      const member = replace(sound)[name] ?? target[name];
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
};

const throwing = () => {
  throw new Error('it is not to be looked at');
};

describe('A run with durable callbacks', () => {
  @Injectable()
  class Answers {
    @Callback('x', { delivery: 'background' }) background() {
      ran.push('background');
    }
    @Callback('x', { delivery: 'durable' }) async durable(what: string) {
      ran.push(`durable ${what}`);
    }
    @Callback('x') async inline() {
      await turn();
      ran.push('inline');
    }
  }

  it('resolves when they are stored, after the inline ones and before the background ones', async () => {
    const { events, done } = await startDurable([Answers], {
      engine: engineWith((engine) => ({
        store: async (deliveries) => {
          await turn();
          await engine.store(deliveries);
          ran.push('stored');
        },
      })),
    });

    await events.run('x', 'Ada');
    ran.push('run resolved');
    await done();

    expect(ran.slice(0, 3)).toEqual(['inline', 'stored', 'run resolved']);
    expect(ran.slice(3).sort()).toEqual(['background', 'durable Ada']);
  });

  it('stores nothing when an inline one fails', async () => {
    @Injectable()
    class Refuses {
      @Callback('x') refuse() {
        throw new ConflictException('taken');
      }
    }
    const { events, counted } = await startDurable([Answers, Refuses]);

    await expect(events.run('x', 'Ada')).rejects.toThrow('taken');
    await expect(events.runParallel('x', 'Ada')).rejects.toThrow('taken');
    await turn();

    expect(ran).not.toContain('background');
    expect(await counted('waiting')).toBe(0);
  });

  it('is told of by runSettled() as stored', async () => {
    const { events, done } = await startDurable([Answers]);
    const outcomes = await events.runSettled('x', 'Ada');
    expect(outcomes.map(({ callback, status }) => [callback, status])).toEqual([
      ['Answers.inline', 'fulfilled'],
      ['Answers.durable', 'stored'],
      ['Answers.background', 'started'],
    ]);
    await events.runParallel('x', 'Bob');
    await done();
    expect(ran.filter((what) => String(what).startsWith('durable'))).toEqual(['durable Ada', 'durable Bob']);
  });

  it('passes on what inline ones made of the arguments', async () => {
    @Injectable()
    class Orders {
      @Callback('placed') async number(order: { number?: number }) {
        await turn();
        order.number = 7;
      }
      @Callback('placed', { delivery: 'durable' }) print(order: object) {
        ran.push(order);
      }
    }
    const { events, done } = await startDurable([Orders]);
    await events.run('placed', {});
    await done();
    expect(ran).toEqual([{ number: 7 }]);
  });

  it('refuses arguments that cannot be stored, before any callback', async () => {
    const { events } = await startDurable([Answers]);
    for (const run of [
      events.run('x', () => {}),
      events.runSettled('x', () => {}),
      events.runParallel('x', () => {}),
    ]) {
      await expect(run).rejects.toMatchObject({ code: 'EVENTS_ARGUMENTS_UNSTORABLE' });
    }
    expect(ran).toEqual([]);
  });

  it.each<[string, Error, code: string, message: string]>([
    [
      'fails',
      new Error('disk full'),
      'EVENTS_STORE_FAILED',
      '"x" was not stored for its durable callbacks, as the engine memory failed: disk full. Its inline callbacks have run; run it again, or undo them.',
    ],
    [
      'does not answer',
      new UnknownOutcomeError('no answer within 5 s'),
      'EVENTS_STORE_UNKNOWN',
      '"x" may or may not be stored for its durable callbacks, as the engine memory did not answer: no answer within 5 s. ' +
        "Run it again with the same id, which stores nothing twice, though inline callbacks run again: events.with({ id: '%s' }).run(…).",
    ],
  ])(
    'rejects when the engine %s, with the id that a second try stores nothing twice by',
    async (_, problem, code, message) => {
      let isBroken = true;
      const { events, done, log } = await startDurable([Answers], {
        engine: engineWith((engine) => ({
          store: async (deliveries) => {
            // The answer is lost, not the deliveries.
            await engine.store(deliveries);
            if (isBroken) throw problem;
          },
        })),
      });
      const run = events.run('x', 'Ada');
      const error = await run.then(
        () => undefined,
        (reason: { id: string; message: string }) => reason,
      );

      expect(error).toMatchObject({ code, cause: problem, message: message.replace('%s', error!.id) });
      expect(firstLines(log.of('error'))).toEqual([error!.message]);
      await expect(events.runSettled('x', 'Bob')).rejects.toMatchObject({ code });
      await expect(events.runParallel('x', 'Eve')).rejects.toMatchObject({ code });
      expect(ran).not.toContain('background');

      isBroken = false;
      await events.with({ id: error!.id }).run('x', 'Ada');
      await done();
      expect(ran.filter((what) => what === 'durable Ada')).toHaveLength(1);
    },
  );

  it('is performed still when a module that is loaded later spoils its event', async () => {
    @Injectable()
    class Wrong {
      @Callback('x', { after: 'nobody' }) go() {}
    }
    @Module({ providers: [Wrong] })
    class WrongModule {}
    const { app, events, done } = await startDurable([Answers]);
    await events.with({ delayMs: 50 }).run('x', 'Ada');
    await app.get(LazyModuleLoader).load(() => WrongModule);
    await expect(events.run('x', 'Bob')).rejects.toMatchObject({ code: 'EVENTS_ORDER_UNKNOWN' });
    await done();
    expect(ran.filter((what) => String(what).startsWith('durable'))).toEqual(['durable Ada']);
  });

  it('may be one of a constructor, of a hook, or of a test that never calls init()', async () => {
    @Injectable()
    class Early implements OnModuleInit {
      constructor(private readonly events: EventRunner) {
        void events.run('x', 'constructor');
      }
      async onModuleInit() {
        await this.events.run('x', 'hook');
      }
    }
    const { done } = await startDurable([Answers, Early]);
    await done();
    expect(ran).toEqual(expect.arrayContaining(['durable constructor', 'durable hook']));

    const testing = await Test.createTestingModule({
      imports: [EventsModule.forRoot({ engine })],
      providers: [Answers],
    }).compile();
    await testing.get(EventRunner).run('x', 'Ada');
    const [count] = await testing.get(EventDeliveries).counts();
    expect(count).toMatchObject({ callback: 'Answers.durable', waiting: 1 });
    await testing.close();
  });

  it('reaches the callbacks of a module that is loaded later', async () => {
    @Injectable()
    class Late {
      @Callback('late', { delivery: 'durable' }) go(what: string) {
        ran.push(what);
      }
    }
    @Module({ providers: [Late] })
    class LateModule {}
    const { app, events, done } = await startDurable([Answers]);
    await app.get(LazyModuleLoader).load(() => LateModule);
    await events.run('late', 'Ada');
    await done();
    expect(ran).toEqual(['Ada']);
  });
});

describe('with(), for durable callbacks,', () => {
  @Injectable()
  class Answers {
    @Callback('x', { delivery: 'durable' }) see(what: unknown) {
      ran.push(what);
    }
    @Callback('inline') inline() {
      ran.push('inline');
    }
    @Callback('ordered', { delivery: 'durable', ordered: true, retry: NOW }) async inOrder(what: string) {
      if (what === 'a1' && currentEvent()!.delivery!.attempt === 1) throw new Error('once');
      ran.push(what);
    }
  }

  it('takes an id, with which a run is stored once', async () => {
    const { events, done } = await startDurable([Answers]);
    const again = events.with({ id: '01A20E92-6CCB-7000-8000-000000000000' });
    await again.run('x', 1);
    await done();
    await again.run('x', 2);
    await done();
    expect(ran).toEqual([1]);
  });

  it('takes a delay, and refuses one that nothing heeds', async () => {
    const { events, deliveries, done } = await startDurable([Answers]);
    const later = events.with({ delayMs: 100 });
    await later.run('x', 1);
    expect(await deliveries.counts()).toMatchObject([{ delayed: 1 }, { delayed: 0 }]);
    await expect(later.run('inline')).rejects.toMatchObject({
      code: 'EVENTS_WITH_INVALID',
      message:
        '"inline" was run with delayMs, but no durable callback answers it, and only stored deliveries can wait. ' +
        "No callback has run; declare it with delivery: 'durable', or remove delayMs.",
    });
    await done();
    expect(ran).toEqual([1]);
  });

  it('takes a key, which keeps the order of ordered callbacks, and which they must have', async () => {
    const { events, done } = await startDurable([Answers]);
    for (const what of ['a1', 'b1', 'a2', 'b2']) await events.with({ key: what[0] }).run('ordered', what);
    await done();
    expect(ran.filter((what) => String(what).startsWith('a'))).toEqual(['a1', 'a2']);
    expect(ran.filter((what) => String(what).startsWith('b'))).toEqual(['b1', 'b2']);

    await expect(events.run('ordered', 'c')).rejects.toMatchObject({
      code: 'EVENTS_KEY_MISSING',
      message:
        '"ordered" was run without a key, by which Answers.inOrder keeps its order. No callback has run; say what the order is of: events.with({ key: … }).run(…).',
    });
  });
});

describe('A durable attempt', () => {
  it('that fails is followed by another, while the other callbacks of the run are left alone', async () => {
    const failures: CallbackFailure[] = [];
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable', retry: { attempts: 3, delayMs: 10, backoff: 'fixed' } })
      async flaky(what: string) {
        ran.push(`flaky ${what}`);
        if (ran.filter((one) => one === `flaky ${what}`).length < 3) throw new Error('the server is down');
      }
      @Callback('x', { delivery: 'durable' }) fine(what: string) {
        ran.push(`fine ${what}`);
      }
    }
    const { events, done, log } = await startDurable([Answers], { onError: (failure) => failures.push(failure) });
    await events.run('x', 'Ada');
    await done();

    expect(ran.toSorted()).toEqual(['fine Ada', 'flaky Ada', 'flaky Ada', 'flaky Ada']);
    expect(firstLines(log.of('warn'))).toEqual([
      '"x": Answers.flaky failed at attempt 1 of 3, with the next in 0.0 s: the server is down',
      '"x": Answers.flaky failed at attempt 2 of 3, with the next in 0.0 s: the server is down',
    ]);
    expect(log.of('warn')[0]).toContain('at Answers.flaky');
    expect(failures).toEqual(
      [1, 2].map((attempt) => ({
        event: 'x',
        callback: 'Answers.flaky',
        delivery: 'durable',
        arguments: ['Ada'],
        error: new Error('the server is down'),
        reachesCaller: false,
        attempt: { id: expect.any(String), attempt, attempts: 3, retryInMs: expect.any(Number) },
      })),
    );
  });

  it('that is the last leaves a dead delivery, with all that is needed to look into it and to retry it', async () => {
    let isDown = true;
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable', retry: NOW }) go(what: unknown) {
        ran.push(what);
        if (isDown) throw Object.assign(new TypeError('no address', { cause: 'a\0b' }), { code: 'E42' });
      }
    }
    const { events, deliveries, done, log } = await startDurable([Answers]);
    const at = new Date(0);
    await events.with({ key: 'Ada' }).run('x', { at });
    await done();

    const [dead, ...others] = await deliveries.list();
    expect(others).toEqual([]);
    expect(dead).toEqual({
      id: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7/),
      event: 'x',
      callback: 'Answers.go',
      key: 'Ada',
      arguments: [{ at }],
      state: 'dead',
      attempts: 3,
      storedAt: expect.any(Date),
      since: expect.any(Date),
      error: {
        name: 'TypeError',
        message: 'no address',
        code: 'E42',
        stack: expect.stringContaining('at Answers.go'),
        cause: { name: 'Error', message: "it threw 'a\\x00b'" },
      },
    });
    expect(firstLines(log.of('error'))).toEqual([
      `"x": Answers.go failed for good, at attempt 3 of 3, so that delivery ${dead.id} is dead: no address`,
    ]);

    isDown = false;
    expect(await deliveries.retry({ callback: 'Answers.go' })).toBe(1);
    await done();
    expect(ran).toEqual(Array(4).fill({ at }));
    expect(await deliveries.list()).toEqual([]);
  });

  it.each<[string, string, () => unknown]>([
    [
      'a message that throws',
      'it threw something that cannot be read',
      () => Object.defineProperty(new Error(), 'message', { get: throwing }),
    ],
    [
      'a stack that throws',
      'it threw something that cannot be read',
      () => Object.defineProperty(new Error('x'), 'stack', { get: throwing }),
    ],
    [
      'a message that is a symbol',
      'Symbol(s)',
      () => Object.assign(new Error(), { message: Symbol('s'), stack: 'at go' }),
    ],
    ['a cause that cannot be shown', 'x', () => new Error('x', { cause: { [inspect.custom]: throwing } })],
    [
      'a proxy that throws',
      'it threw something that cannot be read',
      () => new Proxy({}, { getPrototypeOf: throwing, get: throwing }),
    ],
  ])('that throws what cannot be looked at (%s) is dead, and reported, like any other', async (_, message, make) => {
    const failures: CallbackFailure[] = [];
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable', retry: NOW }) go() {
        throw make();
      }
    }
    const { events, deliveries, done, log } = await startDurable([Answers], {
      onError: (failure) => void failures.push(failure),
    });
    await events.run('x');
    await done();
    expect(await deliveries.list()).toMatchObject([{ attempts: 3, error: { message } }]);
    await until(() => failures.length === 3);
    expect(firstLines([...log.of('warn'), ...log.of('error')])).toEqual([
      `"x": Answers.go failed at attempt 1 of 3, with the next in 0.0 s: ${message}`,
      `"x": Answers.go failed at attempt 2 of 3, with the next in 0.0 s: ${message}`,
      expect.stringMatching(/^"x": Answers.go failed for good, at attempt 3 of 3, /),
    ]);
  });

  it('that refuses for good is not repeated', async () => {
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable' }) go() {
        ran.push('go');
        throw new DeliveryRefused('the address is no more');
      }
    }
    const { events, deliveries, done } = await startDurable([Answers]);
    await events.run('x');
    await done();
    expect(ran).toEqual(['go']);
    expect(await deliveries.list()).toMatchObject([
      { attempts: 1, error: { name: 'DeliveryRefused', message: 'the address is no more' } },
    ]);
  });

  it('is guarded and intercepted each time; what a guard refuses is not repeated, what it fails at is', async () => {
    @Injectable()
    class Guard implements CanActivate {
      canActivate(context: ExecutionContext) {
        const [what] = context.getArgs<[string]>();
        ran.push(`guard ${what}`);
        if (what === 'throws') throw new ConflictException('not this one');
        if (what === 'breaks' && ran.filter((one) => one === 'guard breaks').length === 1)
          throw new Error('no database');
        return what !== 'refused';
      }
    }
    @Injectable()
    class Answers {
      @UseGuards(Guard)
      @UseInterceptors({
        intercept: (_: ExecutionContext, next: CallHandler) => {
          ran.push('intercepted');
          return next.handle();
        },
      })
      @Callback('x', { delivery: 'durable', retry: NOW })
      go(what: string) {
        ran.push(`go ${what}`);
        if (what === 'conflicts' && ran.filter((one) => one === 'go conflicts').length === 1)
          throw new ConflictException('once');
      }
    }
    const { events, deliveries, done } = await startDurable({ providers: [Answers, Guard] });
    for (const what of ['refused', 'throws', 'breaks', 'conflicts']) {
      await events.run('x', what);
      await done();
    }
    expect(ran).toEqual([
      'guard refused',
      'guard throws',
      'guard breaks',
      'guard breaks',
      'intercepted',
      'go breaks',
      'guard conflicts',
      'intercepted',
      'go conflicts',
      'guard conflicts',
      'intercepted',
      'go conflicts',
    ]);
    const dead = await deliveries.list();
    expect(dead.map(({ error }) => error?.message)).toEqual(['Forbidden resource', 'not this one']);
  });

  it('knows its delivery, and runs in a context of its own', async () => {
    const store = new AsyncLocalStorage<string>();
    const seen: CurrentEvent[] = [];
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable', retry: NOW }) async go() {
        await turn();
        seen.push(currentEvent()!);
        ran.push(store.getStore());
        store.enterWith('the attempt before');
        if (seen.length === 1) throw new Error('once');
      }
    }
    const { events, done } = await startDurable([Answers]);
    await store.run('the caller', () => events.with({ key: 'k' }).run('x', 'Ada'));
    await done();

    expect(ran).toEqual([undefined, undefined]);
    expect(seen.map(({ event, arguments: args }) => [event, args])).toEqual(Array(2).fill(['x', ['Ada']]));
    expect(seen.map(({ delivery }) => delivery)).toEqual(
      [1, 2].map((attempt) => ({ id: seen[0].delivery!.id, attempt, key: 'k', completeIn: expect.any(Function) })),
    );
    expect(seen[0].signal.aborted).toBe(false);
    await expect(seen[0].delivery!.completeIn({} as never)).rejects.toThrow('takes no transactions');
  });

  it('gets an instance of its own of a request-scoped provider, with the current event as REQUEST', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Answers {
      constructor(@Inject(REQUEST) readonly current: CurrentEvent) {}
      @Callback('x', { delivery: 'durable', retry: NOW }) go(what: string) {
        ran.push([this, what, this.current.delivery!.attempt]);
        if (ran.length === 1) throw new Error('once');
      }
    }
    const { events, done } = await startDurable([Answers]);
    await events.run('x', 'Ada');
    await done();
    const [[first, ...one], [second, ...two]] = ran as [object, ...unknown[]][];
    expect([one, two]).toEqual([
      ['Ada', 1],
      ['Ada', 2],
    ]);
    expect(first).not.toBe(second);
  });

  it('that takes too long is told so, counts as failed, and keeps its place until it settles', async () => {
    const gate = deferred();
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable', timeoutMs: 20, concurrency: 1, retry: { attempts: 2, delayMs: 0 } })
      async go(what: string) {
        const { signal, delivery } = currentEvent()!;
        if (what === 'heeds') {
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
        } else if (delivery!.attempt === 1) await gate.promise;
        ran.push(`${what} ${delivery!.attempt}`);
      }
    }
    const { events, deliveries, done, log } = await startDurable([Answers]);
    await events.run('x', 'hangs');
    await until(() => log.of('warn').length === 1);
    await turn();
    expect(await deliveries.counts()).toMatchObject([{ waiting: 1, running: 0 }]);
    gate.resolve();
    await done();
    expect(ran).toEqual(['hangs 1', 'hangs 2']);

    await events.run('x', 'heeds');
    await done();
    const [dead] = await deliveries.list();
    expect(dead.error).toMatchObject({
      code: 'EVENTS_DELIVERY_TIMEOUT',
      message:
        'Answers.go had not finished with "x" after 20 ms. Heed currentEvent().signal, or raise timeoutMs: until it settles, it takes one of the 1 places that its concurrency allows.',
    });
    // That it was broken off is no news.
    expect(log.of('warn').length + log.of('error').length).toBe(3);
  });

  it('that goes on past its time is waited for when the application closes', async () => {
    const gate = deferred();
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable', timeoutMs: 20, retry: { attempts: 1 } }) async go() {
        await gate.promise;
        ran.push('done');
      }
      onModuleDestroy() {
        ran.push('pool closed');
      }
    }
    const { app, events, log } = await startDurable([Answers]);
    await events.run('x');
    await until(() => log.of('error').length === 1);
    const closing = app.close();
    await until(() => log.of('warn').length === 1);
    gate.resolve();
    await closing;
    expect(ran).toEqual(['done', 'pool closed']);
    expect(log.of('warn')[0]).toContain('Closing waits for Answers.go (durable, past its timeoutMs), up to');
  });

  it('takes place under fake timers, and with spies', async () => {
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable' }) go() {}
    }
    const { app, events } = await startDurable([Answers]);
    const spy = jest.spyOn(app.get(Answers), 'go').mockImplementation(() => void ran.push('spied'));
    const immediate = setImmediate;
    jest.useFakeTimers();
    await events.run('x');
    while (ran.length === 0) await new Promise((resolve) => immediate(resolve));
    spy.mockRestore();
  });

  it('is told of on the diagnostics channel, with the delivery', async () => {
    const traces: CallbackTrace[] = [];
    const channel = tracingChannel<unknown, CallbackTrace>('nestjs-callbacks:callback');
    const listen = (trace: unknown) => void traces.push(trace as CallbackTrace);
    channel.start.subscribe(listen);
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable' }) go() {}
    }
    const { events, done } = await startDurable([Answers]);
    await events.with({ id: '01a20e92-6ccb-7000-8000-000000000001' }).run('x');
    await done();
    channel.start.unsubscribe(listen);
    expect(traces).toMatchObject([
      { callback: 'Answers.go', delivery: 'durable', id: '01a20e92-6ccb-7000-8000-000000000001', attempt: 1 },
    ]);
  });
});

it('A durable attempt whose schema never answers is over when its time is, and keeps its place until it does', async () => {
  const answer = deferred();
  let checks = 0;
  const slow = defineEvent(
    'x',
    z.string().refine(() => (++checks > 1 ? answer.promise.then(() => true) : true)),
  );
  const ran: string[] = [];
  class Greetings {
    @Callback(slow, { delivery: 'durable', timeoutMs: 20, concurrency: 1, retry: { attempts: 1 } })
    greet(name: string) {
      ran.push(name);
    }
  }
  const { app, events } = await startApp([Greetings], { engine: memoryEngine() });
  await events.run(slow, 'Ada');
  const deliveries = app.get(EventDeliveries);
  await until(async () => (await deliveries.list()).length === 1);
  expect((await deliveries.list())[0].error).toMatchObject({ code: 'EVENTS_DELIVERY_TIMEOUT' });
  answer.resolve();
  await turn();
  expect(ran).toEqual([]);
});

describe('With a schema,', () => {
  it('what was passed is stored, and parsed again on arrival; what does not fit any more is dead at once', async () => {
    let least = 0;
    const paid = defineEvent(
      'paid',
      z.coerce.date(),
      z.number().refine((cents) => cents >= least, 'too little'),
    );
    @Injectable()
    class Answers {
      @Callback(paid) inline(at: Date) {
        ran.push(at);
      }
      @Callback(paid, { delivery: 'durable' }) go(at: Date, cents: number) {
        ran.push([at, cents]);
      }
    }
    const { events, deliveries, done } = await startDurable([Answers]);
    await events.run(paid, '2026-01-31', 5);
    await done();
    expect(ran).toEqual([new Date('2026-01-31'), [new Date('2026-01-31'), 5]]);

    await events.with({ delayMs: 50 }).run(paid, '2026-01-31', 5);
    const [waiting] = await deliveries.list({ state: 'waiting' });
    expect(waiting.arguments).toEqual(['2026-01-31', 5]);
    least = 10;
    await done();
    const [dead] = await deliveries.list();
    expect(dead).toMatchObject({ attempts: 1, error: { code: 'EVENTS_ARGUMENTS_INVALID' } });
  });
});

describe('A class event', () => {
  it('arrives as an instance of its class', async () => {
    class UserJoined {
      constructor(
        readonly name: string,
        readonly at: Date,
      ) {}
    }
    @Injectable()
    class Answers {
      @Callback(UserJoined, { delivery: 'durable' }) go(event: UserJoined) {
        ran.push(event);
      }
    }
    const { events, deliveries, done } = await startDurable([Answers]);
    const event = new UserJoined('Ada', new Date(0));
    await events.with({ delayMs: 20 }).run(event);
    expect((await deliveries.list({ state: 'waiting' }))[0].arguments).toStrictEqual([event]);
    await done();
    expect(ran).toStrictEqual([event]);
  });
});

describe('A delivery', () => {
  @Injectable()
  class Answers {
    @Callback('x', { delivery: 'durable', retry: NOW }) async go(what: string) {
      ran.push(what);
      await turn();
    }
  }

  it('whose attempts have all begun, without one that ended, is dead rather than the end of every instance', async () => {
    const store = new MemoryStore();
    const [older, newer] = [memoryEngine({ store, leaseMs: 40 })(), { engine: memoryEngine({ store, leaseMs: 40 }) }];
    const callback = { event: 'x', callback: 'Answers.go', formerly: [], isOrdered: false, concurrency: 1 };
    await older.start({ log() {}, warn() {}, report() {} });
    await older.declare([callback]);
    // Dies at each attempt.
    older.work(callback, async (attempt) => {
      if (attempt.attempt === 3) await older.stopWorking();
      await attempt.retryIn(0, { name: 'Error', message: 'crashed' });
    });
    await older.store([
      {
        event: 'x',
        callback: 'Answers.go',
        id: '01a20e92-6ccb-7000-8000-000000000000',
        arguments: ['Ada'],
        delayMs: 0,
      },
    ]);
    await until(async () => (await older.list({ states: ['waiting'], limit: 1 }))[0]?.attempts === 3);
    await older.stop();

    const { deliveries, done } = await startDurable([Answers], newer);
    await done();
    expect(ran).toEqual([]);
    expect(await deliveries.list()).toMatchObject([
      {
        error: {
          code: 'EVENTS_DELIVERY_EXHAUSTED',
          message:
            'All 3 attempts of Answers.go at "x" have begun, and the last did not say how it ended: its instance died, or was cut off. Look for what ends the process, and retry the delivery.',
        },
      },
    ]);
  });

  it('that was performed after its claim had run out is reported, since it runs again', async () => {
    const failures: CallbackFailure[] = [];
    const { events, log } = await startDurable([Answers], {
      onError: (failure) => failures.push(failure),
      engine: engineWith((engine) => ({
        work: (callback, perform) =>
          engine.work(callback, (attempt) =>
            perform({ ...attempt, complete: () => attempt.complete().then(() => false) }),
          ),
      })),
    });
    await events.with({ id: '01a20e92-6ccb-7000-8000-000000000000' }).run('x', 'Ada');
    await until(() => log.of('error').length === 1);
    expect(firstLines(log.of('error'))[0]).toBe(
      'Answers.go finished with "x" (delivery 01a20e92-6ccb-7000-8000-000000000000) after its claim had run out, so it runs again. ' +
        'Look for what blocked the event loop, or cut the instance off from its engine.',
    );
    expect(failures).toMatchObject([{ callback: 'Answers.go', error: { code: 'EVENTS_DELIVERY_LOST' } }]);
  });

  it('whose end the engine cannot record is reported', async () => {
    const { events, log } = await startDurable([Answers], {
      engine: engineWith((engine) => ({
        work: (callback, perform) =>
          engine.work(callback, (attempt) =>
            perform({ ...attempt, complete: () => Promise.reject(new Error('the database is gone')) }),
          ),
      })),
    });
    await events.run('x', 'Ada');
    await until(() => log.of('error').length === 1);
    expect(firstLines(log.of('error'))).toEqual([
      'The engine could not record how a delivery ended, so it may run again: the database is gone',
    ]);
  });

  it('aborts its signal when its claim runs out', async () => {
    const lost = new AbortController();
    let signal: AbortSignal | undefined;
    @Injectable()
    class Slow {
      @Callback('x', { delivery: 'durable' }) async go() {
        ({ signal } = currentEvent()!);
        await new Promise((resolve) => signal!.addEventListener('abort', resolve));
      }
    }
    const { events } = await startDurable([Slow], {
      engine: engineWith((engine) => ({
        work: (callback, perform) => engine.work(callback, (attempt) => perform({ ...attempt, signal: lost.signal })),
      })),
    });
    await events.run('x');
    await until(() => signal);
    lost.abort(new Error('taken by another instance'));
    await until(() => signal!.aborted);
    expect(signal!.reason).toEqual(new Error('taken by another instance'));
  });

  it('that cannot be read is dead at once', async () => {
    const store = new MemoryStore();
    const { events, deliveries, done } = await startDurable([Answers], {
      engine: engineWith((engine) => ({
        store: (all) => engine.store(all.map((one) => ({ ...one, arguments: [{ $type: 'Decimal' }] }))),
      })),
    });
    void store;
    await events.run('x', 'Ada');
    await done();
    const [dead] = await deliveries.list();
    expect(dead).toMatchObject({
      attempts: 1,
      arguments: [{ $type: 'Decimal' }],
      error: { code: 'EVENTS_DELIVERY_UNREADABLE' },
    });
  });
});

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
        "Add one: EventsModule.forRoot({ engine: postgres({ connectionString }) }), with postgres from 'nestjs-callbacks/postgres'.",
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
      { event: 'x', callback: 'Older.fail', waiting: 0, delayed: 0, running: 0, dead: 1, isKnown: true },
      { event: 'y', callback: 'Older.gone', waiting: 0, delayed: 1, running: 0, dead: 0, isKnown: false },
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

describe('EventDeliveries', () => {
  @Injectable()
  class Emails {
    @Callback('x', { delivery: 'durable' }) greet() {}
  }

  it.each<[string, (deliveries: any) => Promise<unknown>, string]>([
    [
      'list',
      (deliveries) => deliveries.list({ state: 'failed' }),
      "list() was given state: 'failed'. Pass 'waiting', 'running' or 'dead', or an array of them.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ limit: 0 }),
      'list() was given limit: 0. Pass a whole number from 1 to 1000.',
    ],
    [
      'list',
      (deliveries) => deliveries.list({ after: 'x' }),
      "list() was given after: 'x'. Pass the last delivery of the page before.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ calback: 'x' }),
      'list() was given calback: \'x\'. Did you mean "callback"?',
    ],
    [
      'retry',
      (deliveries) => deliveries.retry({ ids: ['1'] }),
      "retry() was given ids: [ '1' ]. Pass an array of delivery ids.",
    ],
    ['retry', (deliveries) => deliveries.retry(null), 'retry() was given null. Pass an object.'],
    [
      'retry',
      (deliveries) => deliveries.retry({ callback: 'Emails.gret' }),
      'retry() was given callback: \'Emails.gret\', to which no deliveries go. Did you mean "Emails.greet"?',
    ],
    [
      'retry',
      (deliveries) => deliveries.retry({ callback: 'Bot' }),
      "retry() was given callback: 'Bot', to which no deliveries go. Call counts() for those that have some.",
    ],
    [
      'discard',
      (deliveries) => deliveries.discard({ callback: 'Emails.greet' }),
      'discard() was given no ids. Say which deliveries to remove: discard({ ids: [ … ] }).',
    ],
    [
      'discard',
      (deliveries) => deliveries.discard(undefined as never),
      'discard() was given no ids. Say which deliveries to remove: discard({ ids: [ … ] }).',
    ],
  ])('%#. %s refuses what it cannot do', async (_, call, message) => {
    const { deliveries } = await startDurable([Emails]);
    await expect(call(deliveries)).rejects.toMatchObject({
      code: 'EVENTS_QUERY_INVALID',
      message: `EventDeliveries.${message}`,
    });
  });

  it('lists page by page, retries and discards', async () => {
    @Injectable()
    class Failing {
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) go() {
        ran.push('go');
        throw new Error('always');
      }
    }
    const { events, deliveries, done } = await startDurable([Failing]);
    for (let i = 0; i < 5; i++) await events.run('x');
    await done();
    const first = await deliveries.list({ limit: 3 });
    const rest = await deliveries.list({ limit: 3, after: first.at(-1) });
    expect([first.length, rest.length]).toEqual([3, 2]);
    expect(await deliveries.discard({ ids: [first[0].id, rest[0].id] })).toBe(2);
    expect(await deliveries.retry()).toBe(3);
    await done();
    expect(ran).toHaveLength(8);
  });
});
