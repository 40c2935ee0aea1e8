/** What `delivery: 'durable'` promises of a run, on any engine: what is stored and when, under which id, and what is refused. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ConflictException, Injectable, Module, type OnModuleInit } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { UnknownOutcomeError } from 'nestjs-callbacks/engine';
import { Callback, currentEvent, EventDeliveries, EventRunner, EventsModule } from 'nestjs-callbacks';
import { closeApps, firstLines, turn } from '../support/app.js';
import { engine, engineWith, NOW, startDurable } from './durable-app.js';

let ran: unknown[];

beforeEach(() => {
  ran = [];
});

afterEach(closeApps);

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
