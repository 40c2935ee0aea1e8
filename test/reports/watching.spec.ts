/** What can be seen of a run from inside, with `currentEvent()`, and from outside, on the diagnostics channels. */
import { AsyncLocalStorage } from 'node:async_hooks';
import diagnostics from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable } from '@nestjs/common';
import {
  Callback,
  type CallbackTrace,
  currentEvent,
  defineEvent,
  EventRunner,
  inTransaction,
  type RunTrace,
} from 'nestjs-callbacks';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { z } from 'zod';
import { closeApps, startApp, turn, until } from '../support/app.js';
import { runInProcess } from '../support/child-process.js';

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
    [{ delayMs: -5 }, 'delayMs: -5. Pass milliseconds, from 0 to 316224000000 (ten years).'],
    [{ key: '' }, "key: ''. Pass a string of 1 to 500 characters, an order number say."],
    [{ id: 7 }, "id: 7. Pass a line of 1 to 255 characters, a UUID say, or a name: 'welcome:ada@example.org'."],
    [
      { name: 'Ada' },
      "name: 'Ada'. It has no such field. There are tx, request, key, delayMs, id, headers. What the event carries is passed to run() after the event.",
    ],
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
      eventKey: 'x',
      application: {},
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

  it('tell of runs that nobody answers, and of those that are refused, with the arguments as they were passed', async () => {
    const checked = defineEvent('checked', z.coerce.number());
    const late = defineEvent(
      'late',
      z.coerce.number().refine(async (found) => found > 0),
    );
    class Checks {
      @Callback(checked) one() {}
      @Callback(late) two() {}
    }
    const { app, events } = await startApp([Checks]);
    runs.subscribe(steps);

    await events.run('nobody', 'Ada');
    await events.run(checked, '42');
    const refused = [events.run(checked, 'Ada'), events.run(late, '-1'), events.with({ delayMs: 1 }).run(late, '1')];
    const errors = (await Promise.allSettled(refused)).map((result) => (result as PromiseRejectedResult).reason);
    await app.close();
    await expect(events.run('x')).rejects.toMatchObject({ code: 'EVENTS_CLOSED' });

    expect(errors.map(({ code }) => code)).toEqual([
      'EVENTS_ARGUMENTS_INVALID',
      'EVENTS_ARGUMENTS_INVALID',
      'EVENTS_WITH_INVALID',
    ]);
    const begun = traces.filter((_, index) => told[index][0] === 'start');
    expect(begun.map(({ event, arguments: args, error }) => [event, args, error])).toEqual([
      ['nobody', ['Ada'], undefined],
      ['checked', [42], undefined],
      ['checked', ['Ada'], errors[0]],
      ['late', ['-1'], errors[1]],
      ['late', [1], errors[2]],
      ['x', [], expect.objectContaining({ code: 'EVENTS_CLOSED' })],
    ]);
    expect(told.filter(([step]) => step === 'asyncEnd')).toHaveLength(6);
  });

  it('tell which run and which application a callback belongs to, also behind and after the transaction', async () => {
    class Outer {
      constructor(@Inject(EventRunner) private readonly events: EventRunner) {}
      @Callback('outer') async open() {
        await inTransaction(
          (work) => work({}),
          () => this.events.run('x', 'inner'),
        );
      }
    }
    class Answers {
      @Callback('x') here() {}
      @Callback('x', { delivery: 'after-commit' }) afterwards() {}
      @Callback('x', { delivery: 'background' }) behind() {}
    }
    const one = await startApp([Outer, Answers]);
    const other = await startApp([Answers]);
    callbacks.subscribe(steps);
    const areBehind = (count: number) =>
      until(() => told.filter(([step, , name]) => step === 'asyncEnd' && name === 'Answers.behind').length === count);
    await other.events.run('x');
    await areBehind(1);
    expect(traces.map((trace) => 'run' in trace)).not.toContain(true);
    runs.subscribe(steps);
    traces = [];
    told = [];

    await one.events.run('outer');
    await other.events.run('x');
    await areBehind(2);

    const [outer, inner, second] = traces.filter(
      (trace, index): trace is RunTrace => told[index][0] === 'start' && !('callback' in trace),
    );
    const partOf = (run: RunTrace) =>
      traces.flatMap((trace, index) =>
        told[index][0] === 'start' && 'callback' in trace && trace.run === run ? [trace.callback] : [],
      );
    expect(partOf(outer)).toEqual(['Outer.open']);
    expect(partOf(inner).sort()).toEqual(['Answers.afterwards', 'Answers.behind', 'Answers.here']);
    expect(partOf(second).sort()).toEqual(['Answers.afterwards', 'Answers.behind', 'Answers.here']);
    expect(outer.application).toBe(inner.application);
    expect(second.application).not.toBe(outer.application);
    for (const trace of traces) if ('callback' in trace) expect(trace.application).toBe(trace.run!.application);
  });

  it('tell the id by which durable attempts belong to a run', async () => {
    class Greets {
      @Callback('x') here() {}
      @Callback('x', { delivery: 'durable' }) later() {}
    }
    const { events } = await startApp([Greets], { engine: memoryEngine() });
    runs.subscribe(steps);
    callbacks.subscribe(steps);
    await events.with({ id: '0199AAAA-0000-7000-8000-000000000001' }).run('x');
    await events.run('x');
    const attempts = () => traces.filter((trace, index) => told[index][0] === 'start' && 'attempt' in trace);
    await until(() => attempts().length === 2);

    const ids = traces.flatMap((trace, index) =>
      told[index][0] === 'start' && !('callback' in trace) ? [trace.id] : [],
    );
    expect(ids[0]).toBe('0199aaaa-0000-7000-8000-000000000001');
    expect(attempts().map((trace) => trace.id)).toEqual(ids);
    expect(attempts()[0]).not.toHaveProperty('run');
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
      'A subscriber of tracing:nestjs-callbacks:run:start threw: broken subscriber',
      'A subscriber of tracing:nestjs-callbacks:callback:start threw: broken subscriber',
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
