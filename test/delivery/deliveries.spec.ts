/** What a delivery promises, on any engine: how it arrives, and what becomes of one that cannot be performed or settled. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, type CallbackFailure, currentEvent, defineEvent } from 'nestjs-callbacks';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { z } from 'zod';
import { closeApps, firstLines, turn, until } from '../support/app.js';
import { engineWith, NOW, startDurable } from './durable-app.js';

let ran: unknown[];

beforeEach(() => {
  ran = [];
});

afterEach(closeApps);

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
    const [waiting] = (await deliveries.list({ state: 'waiting' })).found;
    expect(waiting.arguments).toEqual(['2026-01-31', 5]);
    least = 10;
    await done();
    const [dead] = (await deliveries.list()).found;
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
    expect((await deliveries.list({ state: 'waiting' })).found[0].arguments).toStrictEqual([event]);
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
    await older.start({ instance: 'here', log() {}, warn() {}, report() {} });
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
    await until(async () => (await older.list({ state: 'waiting', limit: 1 })).found[0]?.attempts === 3);
    await older.stop();

    const failures: CallbackFailure[] = [];
    const onError = (failure: CallbackFailure) => failures.push(failure);
    const { deliveries, done } = await startDurable([Answers], { ...newer, onError });
    await done();
    expect(ran).toEqual([]);
    expect(failures).toMatchObject([{ attempt: { attempt: 3, attempts: 3 } }]);
    expect((await deliveries.list()).found).toMatchObject([
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
    const [dead] = (await deliveries.list()).found;
    expect(dead).toMatchObject({
      attempts: 1,
      arguments: [{ $type: 'Decimal' }],
      error: { code: 'EVENTS_DELIVERY_UNREADABLE' },
    });
  });
});
