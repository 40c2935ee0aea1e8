/** `settled()` waits for all that runs have caused, by counting. */
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Inject, Injectable } from '@nestjs/common';
import { Callback, EventRunner, EventsInspector, EventsModule, inTransaction } from 'nestjs-callbacks';
import { memoryEngine } from 'nestjs-callbacks/testing';
import 'nestjs-callbacks/testing/jest';
import { deferred, turn, until } from '../support/app.js';
import { Bot, closeAll, compile, complaint, down, Emails, HOUR_MS, ran, start, Users } from '../support/test-kit.js';

afterEach(closeAll);

describe('settled()', () => {
  it('resolves when all is done that runs have caused, what those cause included', async () => {
    @Injectable()
    class Chain {
      constructor(@Inject(EventRunner) private readonly events: EventRunner) {}
      @Callback('first', { delivery: 'background' }) async one() {
        await turn();
        await inTransaction(
          (work) => work({}),
          async () => {
            await this.events.run('second');
            await turn();
          },
        );
      }
      @Callback('second', { delivery: 'after-commit' }) async two() {
        await turn();
        await this.events.with({ delayMs: HOUR_MS }).run('third');
      }
      @Callback('third', { delivery: 'durable' }) async three() {
        await turn();
        void this.events.run('fourth');
      }
      @Callback('fourth') async four() {
        await turn();
        ran.push('done');
      }
    }
    const { events, run } = await start([Chain]);
    void run.run('first');
    await events.settled();
    expect(ran).toEqual(['done']);
    expect(events.runs.map(({ event }) => event)).toEqual(['first', 'second', 'third', 'fourth']);
    await events.settled();
  });

  it('resolves at once when nothing was run', async () => {
    const { events } = await start([Users]);
    await events.settled({ timeoutMs: 1 });
  });

  it('does not wait for what is dead, nor for what waits behind that', async () => {
    @Injectable()
    class Books {
      @Callback('x', { delivery: 'durable', ordered: true, retry: { attempts: 2 } }) book(name: string) {
        ran.push(name);
        if (name === 'bad') throw down;
      }
    }
    const { events, run, deliveries } = await start([Books]);
    for (const name of ['good', 'bad', 'held up']) await run.with({ key: 'a' }).run('x', name);
    await run.with({ key: 'b' }).run('x', 'other');
    await events.settled();
    expect(ran).toEqual(['good', 'other', 'bad', 'bad']);
    expect((await deliveries.list({ state: 'waiting' })).found).toMatchObject([{ arguments: ['held up'] }]);

    await deliveries.discard({ callback: 'Books.book', ids: (await deliveries.list()).found.map(({ id }) => id) });
    await events.settled();
    expect(ran.at(-1)).toBe('held up');
  });

  it.each([undefined, { keepsEngine: true }])(
    'does not wait for what is paused until it is resumed, however late it is (%j)',
    async (options) => {
      const imports = [EventsModule.forRoot({ engine: memoryEngine() })];
      const { events, run, deliveries } = await start({ imports, providers: [Emails] }, options);
      await deliveries.pause({ callback: 'Emails.greet' });
      await run.run('user_joined', 'Ada');
      await events.settled();
      if (!options) {
        await run.with({ delayMs: HOUR_MS }).run('user_joined', 'Bob');
        await events.advance(2 * HOUR_MS);
      }
      expect(ran).toEqual([]);
      expect(await complaint(() => expect(events).toHaveCalled('Emails.greet', 'Ada'))).toContain(
        options
          ? '1 delivery waits: await events.settled() first.'
          : `2 deliveries wait as the callback is paused: await EventDeliveries.resume({ callback: 'Emails.greet' }) first.`,
      );
      await deliveries.resume({ callback: 'Emails.greet' });
      await events.settled();
      expect(ran).toEqual(options ? ['greet Ada'] : ['greet Ada', 'greet Bob']);
    },
  );

  it('says after a while what is still open', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('x', { delivery: 'background' }) hang() {
        return gate.promise;
      }
      @Callback('x', { delivery: 'durable', concurrency: 1 }) store() {
        return gate.promise;
      }
    }
    const { events, run } = await start([Slow]);
    for (let times = 0; times < 3; times++) await run.run('x');
    await expect(events.settled({ timeoutMs: 30 })).rejects.toMatchObject({
      code: 'EVENTS_NOT_SETTLED',
      message:
        'settled() has waited for 30 ms: there still are Slow.hang (background) (3 times), Slow.store (durable), ' +
        '2 deliveries of "x" to Slow.store (waiting). Let it settle, fake what it waits for, or wait longer: settled({ timeoutMs }).',
    });
    await expect(events.advance(1, { timeoutMs: 1 })).rejects.toMatchObject({ code: 'EVENTS_NOT_SETTLED' });
    gate.resolve();
    await events.settled();
  });

  it('names a transaction that is still open by what waits for it', async () => {
    const gate = deferred();
    @Injectable()
    class Held {
      @Callback('x', { delivery: 'after-commit' }) after() {}
    }
    const { events, run } = await start([Held]);
    const transaction = inTransaction(
      (work) => work({}),
      async () => {
        await run.run('x');
        await gate.promise;
      },
    );
    await turn();
    await expect(events.settled({ timeoutMs: 10 })).rejects.toThrow(
      'settled() has waited for 10 ms: there still is Held.after (after commit). Let it settle',
    );
    gate.resolve();
    await transaction;
    await events.settled();
    expect(events).toHaveCalled('Held.after');
  });

  it('says that the application has not started, if nobody would do what is to be done', async () => {
    const { app, events, run } = await compile([Users, Emails, Bot]);
    await run.run('user_joined', 'Ada');
    await expect(events.settled()).rejects.toMatchObject({
      code: 'EVENTS_NOT_SETTLED',
      message:
        'settled() was called, but the application has not started, so nobody performs 1 delivery of "user_joined" to Emails.greet (waiting). ' +
        'Call init() first, as in: const app = await (await Test.createTestingModule({ … }).compile()).init();',
    });
    const forgotten =
      'toHaveCalled() was called, but the application has not started, so nobody performs a delivery of "user_joined" to Emails.greet. Call init() first';
    expect(await complaint(() => expect(events).toHaveCalled('Emails.greet'))).toContain(forgotten);
    expect(await complaint(() => expect(events).not.toHaveCalled('Emails.greet'))).toContain(forgotten);
    expect(await complaint(() => expect(events).toHaveRun('user_left'))).toContain(
      '\n\nThe application has not started: call init() first, as in await testing.init().',
    );
    await app.init();
    await events.settled();
    expect(ran).toEqual(['add Ada', 'announce Ada', 'greet Ada']);
  });

  it('does not need a start where there is nothing for it to take up', async () => {
    const { events, run } = await compile([Users, Bot]);
    await run.run('user_joined', 'Ada');
    await events.settled();
    expect(ran).toEqual(['add Ada', 'announce Ada']);
  });

  it.each(['run', 'runSettled', 'runParallel'] as const)(
    'waits for all of a %s() that nobody awaits',
    async (method) => {
      @Injectable()
      class Steps {
        @Callback('x') async one() {
          await turn();
          ran.push('one');
        }
        @Callback('x') async two() {
          await turn();
          await turn();
          ran.push('two');
        }
        @Callback('x', { delivery: 'background' }) async three() {
          await turn();
          ran.push('three');
        }
      }
      const { events, run } = await start([Steps]);
      void run[method]('x');
      await events.settled();
      expect(ran).toEqual(['one', 'two', 'three']);
    },
  );

  it('waits for an attempt that goes on past its timeoutMs, and names it', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('x', { delivery: 'durable', timeoutMs: 10, retry: { attempts: 1 } }) async go() {
        await gate.promise;
        ran.push('done');
      }
    }
    const { app, events, run } = await start([Slow]);
    await run.run('x');
    await until(() => app.get(EventsInspector).running.some((name) => name.includes('past its timeoutMs')));
    await expect(events.settled({ timeoutMs: 10 })).rejects.toThrow(
      'settled() has waited for 10 ms: there still is Slow.go (durable, past its timeoutMs). ',
    );
    gate.resolve();
    await events.settled();
    expect(ran).toEqual(['done']);
  });

  it('hears of deliveries that are discarded meanwhile', async () => {
    @Injectable()
    class Slow {
      @Callback('x', { delivery: 'durable', concurrency: 1 }) async go() {
        await gate.promise;
      }
    }
    const gate = deferred();
    const { events, run, deliveries } = await start([Slow]);
    await run.run('x');
    await run.run('x');
    const settled = events.settled();
    await turn();
    const waiting = (await deliveries.list({ state: 'waiting' })).found;
    expect(await deliveries.discard({ callback: 'Slow.go', ids: waiting.map(({ id }) => id) })).toBe(1);
    gate.resolve();
    await settled;
    expect(events.callsOf('Slow.go')).toHaveLength(1);
  });

  it('copes with hundreds of deliveries, and with fractions of milliseconds', async () => {
    @Injectable()
    class Many {
      @Callback('x', { delivery: 'durable' }) go() {}
    }
    const { events, run } = await start([Many]);
    for (let number = 0; number < 600; number++) await run.with({ delayMs: number / 3 }).run('x');
    await events.settled({ timeoutMs: 60_000 });
    expect(events.callsOf('Many.go')).toHaveLength(600);
  });

  it('says how far it has moved the time for what has no end', async () => {
    @Injectable()
    class Again {
      constructor(@Inject(EventRunner) private readonly events: EventRunner) {}
      @Callback('x', { delivery: 'durable' }) async go() {
        await this.events.with({ delayMs: HOUR_MS }).run('x');
      }
    }
    const { events, run } = await start([Again]);
    await run.run('x');
    await expect(events.settled({ timeoutMs: 50 })).rejects.toThrow(
      /^settled\(\) has waited for 50 ms, and moved the time on by \d+\.0 h: .* For what runs itself again for ever there is advance\(\)\.$/,
    );
  });

  it('says that it is too late while the application closes', async () => {
    const { app, events, run } = await start([Emails]);
    await app.close();
    await events.settled();
    await expect(run.run('user_joined')).rejects.toMatchObject({ code: 'EVENTS_CLOSED' });
  });

  it.each([[10], [null], [{ timeout: 10 }], [{ timeoutMs: Infinity }], [{ timeoutMs: -1 }]])(
    'refuses %p as its options',
    async (options: any) => {
      const { events } = await start([]);
      await expect(events.settled(options)).rejects.toMatchObject({ code: 'EVENTS_TESTING_INVALID' });
    },
  );

  it('takes no notice of fake timers', async () => {
    jest.useFakeTimers();
    try {
      const { events, run } = await start([Users, Emails, Bot]);
      events.fail('Emails.greet', { attempt: 1 });
      events.fake('Bot.announce');
      events.fake('Emails.greet', () => void ran.push('greet'));
      await run.run('user_joined', 'Ada');
      await events.settled();
      expect(ran).toEqual(['add Ada', 'greet']);
    } finally {
      jest.useRealTimers();
    }
  });
});
