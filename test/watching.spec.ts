/** What can be seen of a run from inside, with `currentEvent()`, and from outside, on the diagnostics channels. */
import { AsyncLocalStorage } from 'node:async_hooks';
import diagnostics from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, EventRunner, type CallbackTrace, type RunTrace } from 'nestjs-callbacks';
import { closeApps, startApp, turn } from './app.js';
import { runInProcess } from './child-process.js';

afterEach(closeApps);

describe('currentEvent()', () => {
  let seen: unknown[];
  beforeEach(() => {
    seen = [];
  });
  class UserJoined {}

  @Injectable()
  class Witness {
    constructor(private readonly events: EventRunner) {}
    @Callback('x') async see() {
      await turn();
      seen.push(currentEvent()?.event);
      await this.events.run('y', 'inner');
      seen.push(currentEvent()?.event);
    }
    @Callback('y') async seeInner() {
      await turn();
      seen.push(currentEvent()?.arguments);
    }
    @Callback('z', { delivery: 'background' }) async seeBehind() {
      await turn();
      seen.push(currentEvent()?.event);
    }
    @Callback(UserJoined) seeClass() {
      seen.push(currentEvent()?.event);
    }
  }

  it('answers in runs made through with(), in the runs within, and in what they start in the background', async () => {
    const { events } = await startApp([Witness]);

    await events.with({}).run('x', 1);
    await events.with({}).runParallel(new UserJoined());
    await events.with({}).runSettled('z');
    await turn();
    await turn();

    expect(seen).toEqual(['x', ['inner'], 'x', UserJoined, 'z']);
    expect(currentEvent()).toBeUndefined();
  });

  it('answers nothing in other runs, unless tracksCurrentEvent is on', async () => {
    const without = await startApp([Witness]);
    await without.events.run('x');
    expect(seen.splice(0)).toEqual([undefined, undefined, undefined]);

    const tracked = await startApp([Witness], { tracksCurrentEvent: true });
    await tracked.events.run('x');
    expect(seen).toEqual(['x', ['inner'], 'x']);
  });

  it('has a signal that aborts when closing gives the run up', async () => {
    let signal: AbortSignal | undefined;
    @Injectable()
    class Slow {
      @Callback('x') go() {
        signal = currentEvent()?.signal;
        return new Promise(() => {});
      }
    }
    const { app, events } = await startApp([Slow], { shutdownTimeout: 10 });
    const run = events.with({}).run('x');
    expect(signal?.aborted).toBe(false);
    await app.close();

    expect(signal?.aborted).toBe(true);
    expect(signal?.reason).toMatchObject({ code: 'EVENTS_SHUTDOWN_TIMEOUT' });
    await expect(run).rejects.toBe(signal?.reason);
  });
});

describe('with()', () => {
  it('adds to what the runner was made with', async () => {
    const seen: unknown[] = [];
    @Injectable()
    class Witness {
      @Callback('x') see() {
        seen.push(currentEvent()?.request);
      }
    }
    const { events } = await startApp([Witness]);
    const request = {};
    await events.with({ request }).with({}).run('x');
    await events.with({ request }).with({ request: undefined }).run('x');
    expect(seen).toEqual([request, undefined]);
  });

  it.each<[any, string]>([
    [{ tx: {} }, 'tx: {}. This version of nestjs-callbacks does not offer it yet.'],
    [{ delayMs: -5 }, 'delayMs: -5. Pass milliseconds, from 0 to 316224000000 (ten years).'],
    [{ key: '' }, "key: ''. Pass a string of 1 to 500 characters, an order number say."],
    [{ id: 'order-7' }, "id: 'order-7'. Pass a UUID; of another id, make one that is always the same (version 5)."],
    [{ name: 'Ada' }, "name: 'Ada'. It has no such field. What the event carries is passed to run() after the event."],
    [null, 'null. Pass an object.'],
  ])('refuses %p', async (context, message) => {
    const { events } = await startApp([]);
    expect(() => events.with(context)).toThrow(
      expect.objectContaining({ code: 'EVENTS_WITH_INVALID', message: `with() was given ${message}` }),
    );
  });
});

describe('The tracing channels', () => {
  type Told = [string, string, string?];
  let told: Told[];
  let traces: (RunTrace | CallbackTrace)[];
  const runs = diagnostics.tracingChannel<unknown, RunTrace>('nestjs-callbacks:run');
  const callbacks = diagnostics.tracingChannel<unknown, CallbackTrace>('nestjs-callbacks:callback');
  const listen = (step: string) => (trace: RunTrace | CallbackTrace) => {
    told.push([step, trace.event, ...('callback' in trace ? [trace.callback] : [])] as Told);
    traces.push(trace);
  };
  const steps = {
    start: listen('start'),
    end: listen('end'),
    asyncStart: listen('asyncStart'),
    asyncEnd: listen('asyncEnd'),
    error: listen('error'),
  };
  beforeEach(() => {
    told = [];
    traces = [];
  });
  afterEach(() => {
    runs.unsubscribe(steps);
    callbacks.unsubscribe(steps);
  });

  const boom = new Error('boom');
  @Injectable()
  class Steps {
    @Callback('x') one(name: string) {
      return `one ${name}`;
    }
    @Callback('x') async two() {
      throw boom;
    }
    @Callback('z', { delivery: 'background' }) behind() {}
  }

  it('tell of every call of a callback, with what it returned or threw', async () => {
    const { events } = await startApp([Steps]);
    callbacks.subscribe(steps);

    await expect(events.run('x', 'Ada')).rejects.toBe(boom);
    await events.run('z');
    await turn();

    expect(told.filter(([step]) => step === 'start' || step === 'error' || step === 'asyncEnd')).toEqual([
      ['start', 'x', 'Steps.one'],
      ['asyncEnd', 'x', 'Steps.one'],
      ['start', 'x', 'Steps.two'],
      ['error', 'x', 'Steps.two'],
      ['asyncEnd', 'x', 'Steps.two'],
      ['start', 'z', 'Steps.behind'],
      ['asyncEnd', 'z', 'Steps.behind'],
    ]);
    expect(traces[0]).toEqual({
      event: 'x',
      arguments: ['Ada'],
      callback: 'Steps.one',
      delivery: 'inline',
      result: 'one Ada',
    });
    expect(traces.find((trace) => trace.error)).toMatchObject({ callback: 'Steps.two', error: boom });
  });

  it('tell that a callback is over, whether it returned or threw at once', async () => {
    @Injectable()
    class Sync {
      @Callback('sync') fine() {
        return 1;
      }
      @Callback('sync') broken() {
        throw boom;
      }
    }
    const { events } = await startApp([Sync]);
    callbacks.subscribe(steps);
    const run = events.run('sync');
    expect(told.map(([step, , callback]) => `${callback} ${step}`)).toEqual([
      'Sync.fine start',
      'Sync.fine end',
      'Sync.fine asyncStart',
      'Sync.fine asyncEnd',
      'Sync.broken start',
      'Sync.broken error',
      'Sync.broken end',
      'Sync.broken asyncStart',
      'Sync.broken asyncEnd',
    ]);
    await expect(run).rejects.toBe(boom);
  });

  it('tell of every run', async () => {
    const { events } = await startApp([Steps]);
    runs.subscribe(steps);

    await expect(events.run('x', 'Ada')).rejects.toBe(boom);
    await events.runSettled('z');

    expect(told.map(([step, event]) => `${step} ${event}`)).toEqual([
      'start x',
      'end x',
      'error x',
      'asyncStart x',
      'asyncEnd x',
      'start z',
      'end z',
      'asyncStart z',
      'asyncEnd z',
    ]);
  });

  it('let a run pass whose subscriber throws, and log that', async () => {
    const { events, log } = await startApp([Steps]);
    const broken = {
      ...steps,
      start: () => {
        throw new Error('broken subscriber');
      },
    };
    runs.subscribe(broken);
    callbacks.subscribe(broken);
    try {
      await events.run('z');
      await turn();
    } finally {
      runs.unsubscribe(broken);
      callbacks.unsubscribe(broken);
    }
    expect(log.of('error').map((line) => line.split('\n')[0])).toEqual([
      'A subscriber of tracing:nestjs-callbacks:run:start threw',
      'A subscriber of tracing:nestjs-callbacks:callback:start threw',
    ]);
    expect(runs.hasSubscribers).toBe(false);
  });

  it('run with the stores that are bound to them, until they are unbound', async () => {
    const store = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    class Here {
      @Callback('z') answer() {
        seen.push(store.getStore());
      }
    }
    const { events } = await startApp([Here]);

    runs.start.bindStore(store, ({ event }) => `run of ${event}`);
    await events.run('z');
    runs.start.unbindStore(store);
    callbacks.start.bindStore(store, ({ callback }) => `call of ${callback}`);
    await events.run('z');
    callbacks.start.unbindStore(store);
    await events.run('z');

    expect(seen).toEqual(['run of z', 'call of Here.answer', undefined]);
  });

  it('tell a subscriber that came before this package, too', async () => {
    const { output } = await runInProcess(`
      import 'reflect-metadata';
      import { subscribe } from 'node:diagnostics_channel';
      import { Injectable, Module } from '@nestjs/common';
      import { NestFactory } from '@nestjs/core';

      subscribe('tracing:nestjs-callbacks:run:start', ({ event }) => console.log('run of', event));
      subscribe('tracing:nestjs-callbacks:callback:start', ({ callback }) => console.log('call of', callback));
      const { Callback, EventRunner, EventsModule } = await import('nestjs-callbacks');

      @Injectable()
      class Emails {
        @Callback('user_joined') greet() {}
      }
      @Module({ imports: [EventsModule], providers: [Emails] })
      class AppModule {}
      const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
      await app.get(EventRunner).run('user_joined');
    `);
    expect(output).toBe('run of user_joined\ncall of Emails.greet\n');
  });
});
