/** What a durable attempt promises, on any engine: retries, dead letters, time limits, enhancers, contexts. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import { hostname } from 'node:os';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  type CallHandler,
  type CanActivate,
  ConflictException,
  type ExecutionContext,
  Inject,
  Injectable,
  Scope,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import {
  Callback,
  type CallbackFailure,
  type CallbackTrace,
  currentEvent,
  type CurrentEvent,
  defineEvent,
  DeliveryRefused,
  EventDeliveries,
} from 'nestjs-callbacks';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { z } from 'zod';
import { closeApps, deferred, firstLines, startApp, turn, until } from '../support/app.js';
import { engineWith, NOW, startDurable } from './durable-app.js';

let ran: unknown[];

beforeEach(() => {
  ran = [];
});

afterEach(async () => {
  jest.useRealTimers();
  await closeApps();
});

const throwing = () => {
  throw new Error('it is not to be looked at');
};

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
        attempt: { id: expect.any(String), attempt, attempts: 3, isDead: false, retryInMs: expect.any(Number) },
      })),
    );
  });

  it('that was spared counts neither towards the last one nor in the delay, and there is one more for it', async () => {
    const failures: CallbackFailure[] = [];
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable', retry: { attempts: 2, delayMs: 10 } }) go() {
        ran.push(currentEvent()!.delivery!.attempt);
        throw new Error('the server is down');
      }
    }
    const { events, done, log } = await startDurable([Answers], {
      onError: (failure) => failures.push(failure),
      engine: engineWith((engine) => ({
        // As if three attempts had ended with their instance.
        work: (callback, perform) =>
          engine.work(callback, (attempt) => perform({ ...attempt, attempt: attempt.attempt + 3 })),
      })),
    });
    await events.run('x');
    await done();
    expect(ran).toEqual([4, 5]);
    expect(firstLines(log.of('warn'))).toEqual([
      '"x": Answers.go failed at attempt 4 of 5, with the next in 0.0 s: the server is down',
    ]);
    expect(failures.map(({ attempt }) => attempt)).toMatchObject([
      { attempt: 4, attempts: 5, retryInMs: expect.any(Number) },
      { attempt: 5, attempts: 5, retryInMs: undefined },
    ]);
    expect(failures[0].attempt!.retryInMs).toBeLessThan(20);
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

    const [dead, ...others] = (await deliveries.list()).found;
    expect(others).toEqual([]);
    expect(dead).toEqual({
      id: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7/),
      event: 'x',
      callback: 'Answers.go',
      key: 'Ada',
      headers: { 'correlation-id': dead.id },
      arguments: [{ at }],
      state: 'dead',
      attempts: 3,
      history: Array.from({ length: 3 }, () => ({
        at: expect.any(Date),
        instance: `${hostname()}:${process.pid}`,
        message: 'no address',
      })),
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
    expect((await deliveries.list()).found).toEqual([]);
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
    expect((await deliveries.list()).found).toMatchObject([{ attempts: 3, error: { message } }]);
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
    expect((await deliveries.list()).found).toMatchObject([
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
    const dead = (await deliveries.list()).found;
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
    const { events, done } = await store.run('who starts', () => startDurable([Answers]));
    await store.run('the caller', () => events.with({ key: 'k' }).run('x', 'Ada'));
    await done();

    expect(ran).toEqual([undefined, undefined]);
    expect(seen.map(({ event, arguments: args }) => [event, args])).toEqual(Array(2).fill(['x', ['Ada']]));
    expect(seen.map(({ delivery }) => delivery)).toEqual(
      [1, 2].map((attempt) => ({ id: seen[0].delivery!.id, attempt, key: 'k', completeIn: expect.any(Function) })),
    );
    expect(seen[0].signal.aborted).toBe(false);
    await expect(seen[0].delivery!.completeIn({} as never)).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_UNSUITED',
      message: expect.stringContaining('the engine memory takes no transactions. Leave completeIn() out'),
    });
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
    const [first] = (await deliveries.list({ state: 'waiting' })).found;
    gate.resolve();
    await done();
    expect(ran).toEqual(['hangs 1', 'hangs 2']);

    await events.run('x', 'heeds');
    await done();
    const [dead] = (await deliveries.list()).found;
    expect(dead.error).toMatchObject({
      code: 'EVENTS_DELIVERY_TIMEOUT',
      message:
        'Answers.go had not finished with "x" after 20 ms. Heed currentEvent().signal, or raise timeoutMs: until it settles, it takes one of the 1 places that its concurrency allows.',
    });
    // C21: what is done although it was given up. That it was broken off is no news.
    const late = `Answers.go finished with "x" (delivery ${first.id}) after its 20 ms were over and it had been given up, so it is done again, or is dead. Raise timeoutMs, or have it stop at currentEvent().signal.`;
    expect(firstLines(log.of('error')).filter((line) => line.includes(late))).toHaveLength(1);
    expect(log.of('warn').length + log.of('error').length).toBe(4);
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
  await until(async () => (await deliveries.list()).found.length === 1);
  expect((await deliveries.list()).found[0].error).toMatchObject({ code: 'EVENTS_DELIVERY_TIMEOUT' });
  answer.resolve();
  await turn();
  expect(ran).toEqual([]);
});
