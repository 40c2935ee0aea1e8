/** What `nestjs-callbacks/testing` gives to specs: what happened, what is to happen instead, and waiting for the rest. */
import { tracingChannel } from 'node:diagnostics_channel';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  type CanActivate,
  ConflictException,
  Controller,
  Inject,
  Injectable,
  type ModuleMetadata,
  Scope,
  type Type,
  UseGuards,
} from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { EngineFactory } from 'nestjs-callbacks/engine';
import {
  Callback,
  currentEvent,
  defineEvent,
  EventDeliveries,
  EventRunner,
  EventsModule,
  inTransaction,
} from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import {
  memoryEngine,
  MemoryStore,
  TestEvents,
  TestEventsModule,
  type TestEventsOptions,
} from 'nestjs-callbacks/testing';
import 'nestjs-callbacks/testing/jest';
import pg from 'pg';
import { z } from 'zod';
import { deferred, Log, turn } from '../support/app.js';
import { describeWith, findPostgres } from '../support/servers.js';

const HOUR_MS = 60 * 60 * 1_000;
const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()));
});

/** An application under test; not initialised. */
async function compile(what: Type[] | ModuleMetadata, options?: TestEventsOptions) {
  const { imports = [], ...metadata } = Array.isArray(what) ? { providers: what } : what;
  const kit = options ? TestEventsModule.forRoot(options) : TestEventsModule;
  const app = await Test.createTestingModule({ imports: [...imports, kit], ...metadata })
    .setLogger(new Log())
    .compile();
  open.push(app);
  return { app, events: app.get(TestEvents), run: app.get(EventRunner), deliveries: app.get(EventDeliveries) };
}

async function start(what: Type[] | ModuleMetadata, options?: TestEventsOptions) {
  const compiled = await compile(what, options);
  await compiled.app.init();
  return compiled;
}

/** What a matcher, or whatever else, complains about. */
async function complaint(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return stripVTControlCharacters((error as Error).message);
  }
  throw new Error('It did not complain.');
}

const down = new Error('the mail server is down');

let ran: string[];
beforeEach(() => {
  ran = [];
});

@Injectable()
class Users {
  @Callback('user_joined') add(name: string) {
    ran.push(`add ${name}`);
    return name.length;
  }
}
@Injectable()
class Emails {
  @Callback('user_joined', { delivery: 'durable', retry: { attempts: 3, delayMs: HOUR_MS } })
  async greet(name: string) {
    await turn();
    ran.push(`greet ${name}`);
  }
}
@Injectable()
class Bot {
  @Callback('user_joined', { delivery: 'background' }) async announce(name: string) {
    await turn();
    ran.push(`announce ${name}`);
  }
}
class UserLeft {
  constructor(readonly name: string) {}
}

describe('TestEvents', () => {
  it('records what was run, in which order, with which arguments, and what each callback did', async () => {
    @Injectable()
    class Audit {
      @Callback(UserLeft) note({ name }: UserLeft) {
        if (name === 'Eve') throw down;
      }
    }
    const { events, run } = await start([Users, Emails, Bot, Audit]);
    await run.run('user_joined', 'Ada');
    await expect(run.run(new UserLeft('Eve'))).rejects.toBe(down);
    await run.run('nobody_answers', 1, 2);
    await events.settled();

    expect(events.runs.map(({ event, arguments: args, status }) => [event, args, status])).toEqual([
      ['user_joined', ['Ada'], 'fulfilled'],
      ['UserLeft', [new UserLeft('Eve')], 'rejected'],
      ['nobody_answers', [1, 2], 'fulfilled'],
    ]);
    expect(events.runs[1].reason).toBe(down);
    const [joined] = events.runsOf('user_joined');
    expect(joined.calls).toHaveLength(3);
    expect(joined.calls[0]).toEqual({
      event: 'user_joined',
      callback: 'Users.add',
      delivery: 'inline',
      arguments: ['Ada'],
      status: 'fulfilled',
      value: 3,
    });
    // Either may begin first.
    expect(joined.calls.slice(1)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ callback: 'Bot.announce', delivery: 'background', status: 'fulfilled' }),
        expect.objectContaining({
          callback: 'Emails.greet',
          delivery: 'durable',
          status: 'fulfilled',
          attempt: 1,
          id: expect.stringMatching(/^[\da-f-]{36}$/),
        }),
      ]),
    );
    expect(events.callsOf('Audit.note')).toEqual([
      {
        event: 'UserLeft',
        callback: 'Audit.note',
        delivery: 'inline',
        arguments: [new UserLeft('Eve')],
        status: 'rejected',
        reason: down,
      },
    ]);
    expect(events.calls).toHaveLength(4);
  });

  it('records what schemas make of arguments, and runs that they refuse', async () => {
    const counted = defineEvent('counted', z.coerce.number());
    class Sums {
      @Callback(counted) add() {}
    }
    const { events, run } = await start([Sums]);
    await run.run(counted, '42');
    await expect(run.run(counted, 'many')).rejects.toMatchObject({ code: 'EVENTS_ARGUMENTS_INVALID' });

    expect(events.runsOf(counted).map(({ arguments: [count], status }) => [count, status])).toEqual([
      [42, 'fulfilled'],
      ['many', 'rejected'],
    ]);
    expect(events.runsOf(counted)[1].calls).toEqual([]);
  });

  it('tells two classes of one name, and two applications, apart', async () => {
    const Other = { UserLeft: class UserLeft {} }.UserLeft;
    const one = await start([Users]);
    const two = await start([Users]);
    await one.run.run(new UserLeft('Ada'));
    await one.run.run(new Other());
    await two.run.run('user_joined', 'Eve');

    expect(one.events.runs).toHaveLength(2);
    expect(one.events.runsOf(UserLeft)).toHaveLength(1);
    expect(two.events.runs).toHaveLength(1);
    expect(two.events.calls).toHaveLength(1);
  });

  it('tells runs of two events apart though they store under one id', async () => {
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable' }) onX() {}
      @Callback('y', { delivery: 'durable' }) onY() {}
    }
    const { events, run } = await start([Answers]);
    const same = run.with({ id: '01a213b0-e5d0-7fe5-9c07-7ff43c702d43' });
    await same.run('x');
    await same.run('y');
    await events.settled();
    expect(events.runs.map(({ event, calls }) => [event, calls.map(({ callback }) => callback)])).toEqual([
      ['x', ['Answers.onX']],
      ['y', ['Answers.onY']],
    ]);
  });

  it('tells a name, and a class of that name, apart', async () => {
    @Injectable()
    class Answers {
      @Callback('UserLeft') onName() {
        ran.push('name');
      }
      @Callback(UserLeft) onClass() {
        ran.push('class');
      }
    }
    const { events, run } = await start([Answers]);
    events.fakeEvent('UserLeft');
    await run.run('UserLeft');
    await run.run(new UserLeft('Ada'));
    expect(ran).toEqual(['class']);
    expect(events.runsOf(UserLeft)).toHaveLength(1);
    expect(events.runsOf('UserLeft')).toHaveLength(1);
    expect(events).toHaveRunTimes('UserLeft', 1);
    expect(events).not.toHaveRun('UserLeft', new UserLeft('Ada'));
  });

  it('records from the first run on, and no more once the application has closed', async () => {
    @Injectable()
    class Early {
      constructor(@Inject(EventRunner) events: EventRunner) {
        void events.run('user_joined', 'early');
      }
    }
    const { app, events } = await start([Early, Users]);
    await events.settled();
    expect(events.runs.map(({ arguments: [name] }) => name)).toEqual(['early']);
    await app.close();
    expect(events).toHaveRun('user_joined', 'early');
  });

  it('works without any callbacks, for what only runs events', async () => {
    @Controller()
    class SignupController {
      constructor(@Inject(EventRunner) private readonly events: EventRunner) {}
      signUp = (name: string) => this.events.run('user_joined', name);
    }
    const { app, events } = await start({ controllers: [SignupController] });
    await app.get(SignupController).signUp('Ada');
    expect(events).toHaveRun('user_joined', 'Ada');
  });

  it('forgets on reset() what it has recorded, and what it was to do instead', async () => {
    const { events, run } = await start([Users, Emails]);
    events.fake('Users.add');
    events.fail('Emails.greet');
    await run.run('user_joined', 'Ada');
    await events.settled();
    expect(ran).toEqual([]);
    events.reset();
    expect([events.runs, events.calls]).toEqual([[], []]);
    await run.run('user_joined', 'Eve');
    await events.settled();
    expect(ran).toEqual(['add Eve', 'greet Eve']);
    expect(events.runs).toHaveLength(1);
  });

  it('refuses what it is not meant to be given', async () => {
    const { events } = await start([Users]);
    const testing = (message: string) => expect.objectContaining({ code: 'EVENTS_TESTING_INVALID', message });
    expect(() => events.callsOf('Users.ad')).toThrow(
      testing("TestEvents.callsOf() was given 'Users.ad', but no callback has that id. There is 'Users.add'."),
    );
    expect(() => events.fake('Emails.greet')).toThrow(
      testing("TestEvents.fake() was given 'Emails.greet', but no callback has that id. There is 'Users.add'."),
    );
    expect(() => events.fake('Users.add', 5 as never)).toThrow(
      testing('TestEvents.fake() was given 5 as what to do instead. Pass a function.'),
    );
    expect(() => events.fakeEvent('user_joind')).toThrow(
      testing(
        'TestEvents.fakeEvent() was given "user_joind", which no callback answers. There are callbacks of \'user_joined\'.',
      ),
    );
    expect(() => events.fakeEvent(5 as never)).toThrow(
      testing('TestEvents.fakeEvent() was given 5 as the event. Pass a name, a class, or what defineEvent() returned.'),
    );
    expect(() => events.fail('Users.add', { attempt: 0 })).toThrow(
      testing('TestEvents.fail() was given a wrong attempt. Pass a number, 1 for the first, or several.'),
    );
    await expect(events.advance(-1)).rejects.toThrow(
      testing('TestEvents.advance() was given -1. Pass milliseconds, a whole number.'),
    );
    const { events: none } = await start([]);
    expect(() => none.fake('Users.add')).toThrow(
      testing(
        "TestEvents.fake() was given 'Users.add', but no callback has that id. There are no callbacks: does the module provide them, or import what does?",
      ),
    );
  });
});

describe('TestEventsModule', () => {
  it('replaces the engine of the application, which is never asked for', async () => {
    const engine = jest.fn<() => never>();
    const { events, run } = await start({
      imports: [EventsModule.forRoot({ engine, work: false, strict: true })],
      providers: [Emails],
    });
    await run.run('user_joined', 'Ada');
    await events.settled();
    expect(ran).toEqual(['greet Ada']);
    expect(engine).not.toHaveBeenCalled();
    await expect(run.run('nobody')).rejects.toMatchObject({ code: 'EVENTS_NOBODY_ANSWERS' });
  });

  it.each<[any, string]>([
    [{ shuffle: 'yes' }, 'was given a wrong shuffle. Pass true, or the seed that was printed, a whole number.'],
    [{ deliversTwice: 2 }, 'was given a wrong deliversTwice. Pass true or false.'],
    [{ keepEngine: true }, 'has no option keepEngine. Did you mean "keepsEngine"?'],
  ])('refuses %p', async (options, message) => {
    await expect(compile([], options)).rejects.toMatchObject({
      code: 'EVENTS_TESTING_INVALID',
      message: `TestEventsModule.forRoot() ${message}`,
    });
  });

  it('leaves nothing behind in the process when the application could not be made, nor when it has closed', async () => {
    const channel = tracingChannel('nestjs-callbacks:run');
    const failing = { provide: 'failing', useFactory: () => Promise.reject(new Error('no')) };
    await expect(compile({ providers: [Users, failing] })).rejects.toThrow('no');
    expect(channel.start.hasSubscribers).toBe(false);
    const { app, run } = await compile([Users]);
    await run.run('user_joined', 'Ada');
    expect(channel.start.hasSubscribers).toBe(true);
    await app.close();
    expect(channel.start.hasSubscribers).toBe(false);
  });

  it('refuses to be imported twice', async () => {
    await expect(compile({ imports: [TestEventsModule.forRoot({ shuffle: 1 })] })).rejects.toThrow(
      'TestEventsModule is imported 2 times. Import it once, beside the root module.',
    );
  });
});

describe('A fake', () => {
  it('takes the place of one callback, the rest stays real', async () => {
    const { events, run } = await start([Users, Emails, Bot]);
    events.fake('Users.add');
    events.fake('Emails.greet', async (name: string) => void ran.push(`fake ${name}`));
    await run.run('user_joined', 'Ada');
    await events.settled();
    expect(ran.sort()).toEqual(['announce Ada', 'fake Ada']);
    expect(events).toHaveCalled('Users.add', 'Ada');
    expect(events.callsOf('Users.add')[0].value).toBeUndefined();
  });

  it('takes the place of all callbacks of an event', async () => {
    @Injectable()
    class Leaving {
      @Callback(UserLeft) remove() {
        ran.push('remove');
      }
    }
    const { events, run } = await start([Users, Bot, Leaving]);
    events.fakeEvent('user_joined', (name: string) => ran.push(`fake ${name}`));
    events.fakeEvent(UserLeft);
    await run.run('user_joined', 'Ada');
    await run.run(new UserLeft('Ada'));
    await events.settled();
    expect(ran).toEqual(['fake Ada', 'fake Ada']);
  });

  it('may throw, and veto a run; neither guards nor request-scoped instances come before it', async () => {
    const taken = new ConflictException();
    @Injectable()
    class Nobody implements CanActivate {
      canActivate() {
        ran.push('guard');
        return false;
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class Guarded {
      constructor() {
        ran.push('made');
      }
      @UseGuards(Nobody)
      @Callback('user_joined')
      add() {}
    }
    const { events, run } = await start([Guarded, Nobody]);
    await expect(run.run('user_joined', 'Ada')).rejects.toThrow('Forbidden');
    expect(ran.splice(0)).toEqual(['made', 'guard']);
    events.fake('Guarded.add', () => {
      throw taken;
    });
    await expect(run.run('user_joined', 'Ada')).rejects.toBe(taken);
    expect(events).toHaveFailed('Guarded.add', ConflictException);
    expect(ran).toEqual([]);
  });

  it('may be set before the application starts', async () => {
    @Injectable()
    class Starts {
      constructor(@Inject(EventRunner) private readonly events: EventRunner) {}
      onModuleInit = () => this.events.run('user_joined', 'Ada');
    }
    const { app, events } = await compile([Starts, Users]);
    events.fake('Users.add', () => ran.push('fake'));
    await app.init();
    expect(ran).toEqual(['fake']);
  });
});

describe('fail()', () => {
  it('has a durable callback fail at some attempts of each delivery', async () => {
    const { events, run } = await start([Emails]);
    events.fail('Emails.greet', { attempt: [1, 2], error: down });
    await run.run('user_joined', 'Ada');
    await run.run('user_joined', 'Eve');
    await events.settled();
    expect(ran).toEqual(['greet Ada', 'greet Eve']);
    const attempts = (name: string) =>
      events
        .callsOf('Emails.greet')
        .flatMap(({ arguments: [who], attempt, status }) => (who === name ? [[attempt, status]] : []));
    expect(attempts('Eve')).toEqual([
      [1, 'rejected'],
      [2, 'rejected'],
      [3, 'fulfilled'],
    ]);
  });

  it('has any other callback fail at some calls, counted from then', async () => {
    const { events, run } = await start([Users]);
    await run.run('user_joined', 'zero');
    events.fail('Users.add', { attempt: 2 });
    await run.run('user_joined', 'one');
    await expect(run.run('user_joined', 'two')).rejects.toThrow('Users.add fails, as TestEvents.fail() has it');
    await run.run('user_joined', 'three');
    expect(ran).toEqual(['add zero', 'add one', 'add three']);
  });

  it('has a callback fail always, and its delivery die', async () => {
    const { events, run, deliveries } = await start([Emails]);
    events.fail('Emails.greet', { error: down });
    await run.run('user_joined', 'Ada');
    await events.settled();
    expect(await deliveries.list()).toMatchObject([{ attempts: 3, error: { message: down.message } }]);
    expect(events).toHaveFailed('Emails.greet', down);
  });
});

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
    expect(await deliveries.list({ state: 'waiting' })).toMatchObject([{ arguments: ['held up'] }]);

    await deliveries.discard({ ids: (await deliveries.list()).map(({ id }) => id) });
    await events.settled();
    expect(ran.at(-1)).toBe('held up');
  });

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
    const { events, run } = await start([Slow]);
    await run.run('x');
    await expect(events.settled({ timeoutMs: 40 })).rejects.toThrow(
      'settled() has waited for 40 ms: there still is Slow.go (durable, past its timeoutMs). ',
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
    const waiting = await deliveries.list({ state: 'waiting' });
    expect(await deliveries.discard({ ids: waiting.map(({ id }) => id) })).toBe(1);
    gate.resolve();
    await settled;
    expect(events.callsOf('Slow.go')).toHaveLength(1);
  });

  it('copes with thousands of deliveries, and with fractions of milliseconds', async () => {
    @Injectable()
    class Many {
      @Callback('x', { delivery: 'durable' }) go() {}
    }
    const { events, run } = await start([Many]);
    for (let number = 0; number < 2_000; number++) await run.with({ delayMs: number / 3 }).run('x');
    await events.settled({ timeoutMs: 15_000 });
    expect(events.callsOf('Many.go')).toHaveLength(2_000);
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

describe('advance()', () => {
  it('moves the time on, so that a policy of hours takes no time', async () => {
    @Injectable()
    class Webhook {
      @Callback('x', { delivery: 'durable', retry: { attempts: 5, delayMs: HOUR_MS, maxDelayMs: 4 * HOUR_MS } })
      call() {
        ran.push(`attempt ${currentEvent()!.delivery!.attempt}`);
        throw down;
      }
    }
    const { events, run, deliveries } = await start([Webhook]);
    await run.run('x');
    const after = async (ms: number) => {
      await events.advance(ms);
      return ran.length;
    };
    expect(await after(0)).toBe(1);
    expect(await after(HOUR_MS - 1)).toBe(1);
    expect(await after(1)).toBe(2);
    expect(await after(2 * HOUR_MS - 1)).toBe(2);
    expect(await after(1 + 4 * HOUR_MS - 1)).toBe(3);
    expect(await after(1)).toBe(4);
    expect(await after(4 * HOUR_MS)).toBe(5);
    const [dead] = await deliveries.list();
    expect(dead.attempts).toBe(5);
    expect(dead.since.getTime() - dead.storedAt.getTime()).toBe(11 * HOUR_MS);
  });

  it('performs what becomes due on the way in its order, what that causes included', async () => {
    @Injectable()
    class Reminders {
      constructor(@Inject(EventRunner) private readonly events: EventRunner) {}
      @Callback('remind', { delivery: 'durable' }) async remind(name: string, times: number) {
        await turn();
        ran.push(`${name} ${times}`);
        if (times > 1) await this.events.with({ delayMs: HOUR_MS }).run('remind', name, times - 1);
      }
    }
    const { events, run } = await start([Reminders]);
    await run.with({ delayMs: HOUR_MS * 1.5 }).run('remind', 'late', 1);
    await run.with({ delayMs: HOUR_MS }).run('remind', 'often', 3);
    await events.advance(HOUR_MS - 1);
    expect(ran).toEqual([]);
    await events.advance(2 * HOUR_MS + 1);
    expect(ran).toEqual(['often 3', 'late 1', 'often 2', 'often 1']);
  });

  it('is refused where the time is the real one', async () => {
    const { events } = await start(
      { imports: [EventsModule.forRoot({ engine: memoryEngine() })], providers: [Emails] },
      { keepsEngine: true },
    );
    await expect(events.advance(1)).rejects.toMatchObject({
      code: 'EVENTS_TESTING_INVALID',
      message:
        'TestEvents.advance() was called, but with keepsEngine the time is the real one. Leave that option out, or set short delays.',
    });
  });
});

describe('shuffle', () => {
  const named = (name: string, options: object = {}) => {
    class Answers {
      @Callback('x', { id: name, ...options }) answer() {
        ran.push(name);
      }
    }
    return Answers;
  };
  const names = 'abcdefgh'.split('');
  const orderBy = async (shuffle: boolean | number, classes = names.map((name) => named(name))) => {
    ran = [];
    const { run } = await start(classes, { shuffle });
    await run.run('x');
    return ran.join('');
  };

  it('has callbacks run in another order, which its seed decides', async () => {
    expect(await orderBy(false)).toBe('abcdefgh');
    const [one, two, three] = [await orderBy(1), await orderBy(2), await orderBy(3)];
    for (const order of [one, two, three]) expect(order.split('').sort()).toEqual(names);
    expect(new Set(['abcdefgh', one, two, three]).size).toBe(4);
    expect(await orderBy(1)).toBe(one);
    // One that goes leaves the others as they are.
    expect(
      await orderBy(
        1,
        'abcdefg'.split('').map((name) => named(name)),
      ),
    ).toBe(one.replace('h', ''));
  });

  it('keeps what before and after ask for, and the sequence of a run', async () => {
    const classes = [
      named('late', { delivery: 'after-commit' }),
      ...names.map((name) => named(name)),
      named('first', { before: names }),
      named('last', { after: names }),
    ];
    for (const seed of [1, 2, 3, 4]) expect(await orderBy(seed, classes)).toMatch(/^first[a-h]{8}lastlate$/);
  });

  it('tells callbacks of one id apart', async () => {
    const orders = new Set<string>();
    for (const seed of [1, 2, 3]) {
      let made = 0;
      const same = names.map((name) => {
        class Answers {
          @Callback('x', { id: 'same' }) answer() {
            ran.push(name);
          }
        }
        return Object.defineProperty(Answers, 'name', { value: `Answers${made++}` });
      });
      orders.add(await orderBy(seed, same));
    }
    expect(orders.size).toBe(3);
  });

  it('prints the seed that chance has chosen, once for all applications', async () => {
    const printed = jest.spyOn(console, 'log').mockImplementation(() => {});
    try {
      const order = await orderBy(true);
      expect(printed).toHaveBeenCalledTimes(1);
      const [line] = printed.mock.calls[0] as [string];
      const seed =
        /^Callbacks are shuffled by seed (\d+)\. The same again: TestEventsModule\.forRoot\(\{ shuffle: \1 \}\)$/.exec(
          line,
        )![1];
      expect(await orderBy(Number(seed))).toBe(order);
      expect(await orderBy(true)).toBe(order);
      expect(printed).toHaveBeenCalledTimes(1);
    } finally {
      printed.mockRestore();
    }
  });
});

describe('deliversTwice', () => {
  it('has each durable delivery performed a second time, by the same id and attempt', async () => {
    @Injectable()
    class Counts {
      private readonly seen = new Set<string>();
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) naive(name: string) {
        ran.push(`naive ${name}`);
      }
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) careful(name: string) {
        const { id } = currentEvent()!.delivery!;
        if (this.seen.has(id)) return;
        this.seen.add(id);
        ran.push(`careful ${name}`);
      }
      @Callback('x') inline(name: string) {
        ran.push(`inline ${name}`);
      }
    }
    const { events, run, deliveries } = await start([Counts], { deliversTwice: true });
    await run.run('x', 'Ada');
    await run.run('x', 'Eve');
    await events.settled();
    expect(ran.sort()).toEqual([
      'careful Ada',
      'careful Eve',
      'inline Ada',
      'inline Eve',
      'naive Ada',
      'naive Ada',
      'naive Eve',
      'naive Eve',
    ]);
    expect(new Set(events.callsOf('Counts.naive').map(({ id }) => id)).size).toBe(2);
    expect(events.callsOf('Counts.naive').map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1]);
    expect(await deliveries.list({ state: ['waiting', 'running', 'dead'] })).toEqual([]);
  });

  it('has one that fails tried again as ever, and performed again when it has succeeded', async () => {
    const { events, run } = await start([Emails], { deliversTwice: true });
    events.fail('Emails.greet', { attempt: 1 });
    await run.run('user_joined', 'Ada');
    await events.settled();
    expect(events.callsOf('Emails.greet').map(({ attempt, status }) => [attempt, status])).toEqual([
      [1, 'rejected'],
      [2, 'fulfilled'],
      [2, 'fulfilled'],
    ]);
  });
});

describe('keepsEngine', () => {
  it('keeps the option work, too, and waits for what another application performs', async () => {
    const store = new MemoryStore();
    const application = (work: boolean) =>
      start(
        { imports: [EventsModule.forRoot({ engine: memoryEngine({ store }), work })], providers: [Emails] },
        { keepsEngine: true },
      );
    const web = await application(false);
    await web.run.run('user_joined', 'Ada');
    await expect(web.events.settled()).rejects.toThrow(
      'This application does not perform 1 delivery of "user_joined" to Emails.greet (waiting): it is closing, or its option work is false.',
    );
    const worker = await application(true);
    await worker.run.run('user_joined', 'Eve');
    await worker.events.settled();
    await web.events.settled();
    expect(ran.sort()).toEqual(['greet Ada', 'greet Eve']);
  });

  it('waits for the engine of the application, by the real time', async () => {
    @Injectable()
    class Retried {
      @Callback('x', { delivery: 'durable', retry: { attempts: 3, delayMs: 20, backoff: 'fixed' } }) async go() {
        await turn();
        ran.push(`attempt ${currentEvent()!.delivery!.attempt}`);
        if (ran.length < 3) throw down;
      }
    }
    const { events, run } = await start(
      { imports: [EventsModule.forRoot({ engine: memoryEngine() })], providers: [Retried] },
      { keepsEngine: true },
    );
    await run.with({ delayMs: 20 }).run('x');
    await events.settled();
    expect(ran).toEqual(['attempt 1', 'attempt 2', 'attempt 3']);
  });

  it('needs an engine for durable callbacks, as ever', async () => {
    await expect(start([Emails], { keepsEngine: true })).rejects.toMatchObject({ code: 'EVENTS_ENGINE_MISSING' });
  });
});

const folder = mkdtempSync(join(tmpdir(), 'testing-'));
afterAll(() => rmSync(folder, { recursive: true }));
keepsEngineOn('PGlite', () => postgres({ folder }));
describeWith('On Postgres (DATABASE_URL, or the local server)', await findPostgres(), (connectionString) => {
  const schema = `testing_${process.pid}`;
  afterAll(async () => {
    const client = new pg.Client({ connectionString });
    await client.connect();
    await client.query(`drop schema if exists ${schema} cascade`);
    await client.end();
  });
  keepsEngineOn('a server', () => postgres({ connectionString, schema }));
});

function keepsEngineOn(name: string, engineOf: () => EngineFactory): void {
  it(`settled() waits for ${name}: retries, orders behind a dead one, and what is dead`, async () => {
    @Injectable()
    class Works {
      @Callback('tried', { delivery: 'durable', retry: { attempts: 3, delayMs: 10, backoff: 'fixed' } }) async go() {
        await turn();
        ran.push(`attempt ${currentEvent()!.delivery!.attempt}`);
      }
      @Callback('booked', { delivery: 'durable', ordered: true, retry: { attempts: 1 } }) book(entry: string) {
        if (entry === 'bad') throw down;
        ran.push(entry);
      }
    }
    const { events, run, deliveries } = await start(
      { imports: [EventsModule.forRoot({ engine: engineOf() })], providers: [Works] },
      { keepsEngine: true, deliversTwice: true },
    );
    events.fail('Works.go', { attempt: [1, 2] });
    await run.run('tried');
    for (const entry of ['good', 'bad', 'behind']) await run.with({ key: 'a' }).run('booked', entry);
    await events.settled({ timeoutMs: 10_000 });

    // Each that succeeded twice.
    expect(ran.sort()).toEqual(['attempt 3', 'attempt 3', 'good', 'good']);
    expect(events.callsOf('Works.go')).toHaveLength(4);
    expect(await deliveries.list()).toMatchObject([{ arguments: ['bad'] }]);
    expect(await deliveries.list({ state: ['waiting', 'running'] })).toMatchObject([{ arguments: ['behind'] }]);
  });
}

describe('The matchers', () => {
  @Injectable()
  class Failing {
    @Callback('x') go() {
      throw down;
    }
  }

  it('toHaveRun() says what was run instead, and how the nearest differs', async () => {
    const { events, run } = await start([Users]);
    const toHaveRun = () => expect(events).toHaveRun('user_joined', 'Ada', expect.stringContaining('@'));
    expect(await complaint(toHaveRun)).toBe(
      'expect(events).toHaveRun("user_joined", "Ada", StringContaining "@")\n\nNothing was run.',
    );

    await run.run('user_joined', 'Eve', 'eve.example.org');
    await run.run('user_joined', 'Ada', 'ada.example.org');
    await run.run('user_left');
    expect(await complaint(toHaveRun)).toBe(
      [
        'expect(events).toHaveRun("user_joined", "Ada", StringContaining "@")',
        '',
        'With other arguments:',
        '- Expected',
        '+ Received',
        '',
        '  Array [',
        '    "Ada",',
        '-   StringContaining "@",',
        '+   "ada.example.org",',
        '  ]',
        '',
        'What was run:',
        '  1. "user_joined" ("Eve", "eve.example.org")',
        '  2. "user_joined" ("Ada", "ada.example.org")',
        '  3. "user_left" ()',
      ].join('\n'),
    );
    expect(events).toHaveRun('user_joined');
    expect(events).toHaveRun('user_joined', 'Eve', expect.any(String));
  });

  it('not.toHaveRun() names what was run', async () => {
    const { events, run } = await start([Failing]);
    expect(events).not.toHaveRun('x');
    await run.run('x', 'Ada').catch(() => {});
    await run.run('x', 'Eve').catch(() => {});
    expect(events).not.toHaveRun('x', 'Bob');
    expect(await complaint(() => expect(events).not.toHaveRun('x', 'Eve'))).toBe(
      'expect(events).not.toHaveRun("x", "Eve")\n\nIt was run:\n  1. "x" ("Eve"), and failed: the mail server is down',
    );
    expect(await complaint(() => expect(events).not.toHaveRun('x'))).toContain('\n  2. "x" ("Eve"), and failed');
  });

  it('toHaveRun() takes classes, their instances, and definitions', async () => {
    const Other = { UserLeft: class UserLeft {} }.UserLeft;
    const counted = defineEvent('counted', z.coerce.number());
    const { events, run } = await start([Users]);
    await run.run(new UserLeft('Ada'));
    await run.run(counted, '42');

    expect(events).toHaveRun(UserLeft);
    expect(events).toHaveRun(UserLeft, expect.objectContaining({ name: 'Ada' }));
    expect(events).toHaveRun(new UserLeft('Ada'));
    expect(events).not.toHaveRun(new UserLeft('Eve'));
    expect(events).not.toHaveRun(Other);
    expect(events).not.toHaveRun(new Other());
    expect(events).toHaveRun(counted, 42);
    expect(events).not.toHaveRun(counted, 43);
    expect(await complaint(() => expect(events).toHaveRun(new UserLeft('Eve')))).toContain(
      '-     "name": "Eve",\n+     "name": "Ada",',
    );
  });

  it('toHaveRunTimes() says how often it was', async () => {
    const { events, run } = await start([Users]);
    await run.run('user_joined', 'Ada');
    expect(events).toHaveRunTimes('user_joined', 1);
    expect(events).toHaveRunTimes('user_left', 0);
    expect(await complaint(() => expect(events).toHaveRunTimes('user_joined', 2))).toBe(
      'expect(events).toHaveRunTimes("user_joined", 2)\n\nIt was run once:\n  1. "user_joined" ("Ada")',
    );
    expect(await complaint(() => expect(events).not.toHaveRunTimes('user_joined', 1))).toBe(
      'expect(events).not.toHaveRunTimes("user_joined", 1)\n\nIt was run once:\n  1. "user_joined" ("Ada")',
    );
    expect(await complaint(() => expect(events).toHaveRunTimes('user_left', 1))).toBe(
      'expect(events).toHaveRunTimes("user_left", 1)\n\nIt was not run.\n\nWhat was run:\n  1. "user_joined" ("Ada")',
    );
  });

  it('toHaveCalled() says what was called instead', async () => {
    const { events, run } = await start([Users, Emails, Failing]);
    events.fail('Emails.greet', { attempt: 1, error: down });
    await run.run('user_joined', 'Ada');
    await run.run('x').catch(() => {});
    await events.settled();

    expect(events).toHaveCalled('Users.add', 'Ada');
    expect(await complaint(() => expect(events).toHaveCalled('Emails.greet', 'Eve'))).toBe(
      [
        'expect(events).toHaveCalled("Emails.greet", "Eve")',
        '',
        'With other arguments:',
        '- Expected',
        '+ Received',
        '',
        '  Array [',
        '-   "Eve",',
        '+   "Ada",',
        '  ]',
        '',
        'What was called:',
        '  1. Users.add ("Ada")',
        '  2. Failing.go (), which failed: the mail server is down',
        '  3. Emails.greet ("Ada"), attempt 1, which failed: the mail server is down',
        '  4. Emails.greet ("Ada"), attempt 2',
      ].join('\n'),
    );
    expect(await complaint(() => expect(events).not.toHaveCalled('Users.add'))).toBe(
      'expect(events).not.toHaveCalled("Users.add")\n\nIt was called:\n  1. Users.add ("Ada")',
    );
    events.reset();
    expect(await complaint(() => expect(events).toHaveCalled('Users.add'))).toBe(
      'expect(events).toHaveCalled("Users.add")\n\nNothing was called.',
    );
  });

  it('toHaveFailed() says what the callback did', async () => {
    const { events, run } = await start([Users, Failing]);
    await run.run('user_joined', 'Ada');
    await run.run('x').catch(() => {});

    for (const error of [
      'mail server',
      /down$/,
      Error,
      down,
      new Error(down.message),
      expect.objectContaining({ message: down.message }),
    ]) {
      expect(events).toHaveFailed('Failing.go', error);
    }
    expect(events).toHaveFailed('Failing.go');
    expect(events).not.toHaveFailed('Failing.go', 'the disk is full');
    expect(events).not.toHaveFailed('Users.add');
    expect(await complaint(() => expect(events).toHaveFailed('Users.add'))).toBe(
      'expect(events).toHaveFailed("Users.add")\n\nWhat it did:\n  1. Users.add ("Ada")',
    );
    expect(await complaint(() => expect(events).toHaveFailed('Failing.go', ConflictException))).toBe(
      'expect(events).toHaveFailed("Failing.go", ConflictException)\n\nWhat it did:\n  1. Failing.go (), which failed: the mail server is down',
    );
    expect(await complaint(() => expect(events).not.toHaveFailed('Failing.go', down))).toBe(
      'expect(events).not.toHaveFailed("Failing.go", [Error: the mail server is down])\n\nIt failed:\n  1. Failing.go (), which failed: the mail server is down',
    );
    events.reset();
    expect(await complaint(() => expect(events).toHaveFailed('Users.add'))).toBe(
      'expect(events).toHaveFailed("Users.add")\n\nIt was not called.',
    );
  });

  it('compare maps, sets and other iterables by what is in them', async () => {
    const { events, run } = await start([Users]);
    await run.run('x', new Map([['a', 1]]), new Set([1]));
    expect(events).toHaveRun('x', new Map([['a', 1]]), new Set([1]));
    expect(events).not.toHaveRun('x', new Map([['a', 2]]), new Set([1]));
    expect(events).not.toHaveRun('x', new Map([['a', 1]]), new Set([2]));
  });

  it('look at nothing that they do not have to', async () => {
    const { events, run } = await start([Users]);
    const lazy = {
      get name() {
        throw new Error('not to be looked at');
      },
    };
    await run.run('x', lazy);
    await run.run('x', 1);
    expect(events).toHaveRun('x');
    expect(events).toHaveRunTimes('x', 2);
    expect(await complaint(() => expect(events).toHaveRun('y'))).toContain(
      '1. "x" ((what cannot be printed: not to be looked at))',
    );
  });

  it('take whatever a callback throws', async () => {
    const thrown = [Object.create(null), { code: 42 }, undefined, 'a string', { toString: () => null }];
    let next = 0;
    @Injectable()
    class Throws {
      @Callback('x') go() {
        throw thrown[next++];
      }
    }
    const { events, run } = await start([Throws]);
    for (const _ of thrown) await run.run('x').catch(() => {});
    expect(events).toHaveFailed('Throws.go');
    expect(events).toHaveFailed('Throws.go', 'a string');
    expect(events).toHaveFailed('Throws.go', { code: 42 });
    expect(await complaint(() => expect(events).toHaveFailed('Throws.go', 'nothing of that'))).toContain(
      '2. Throws.go (), which failed: it threw { code: 42 }',
    );
  });

  it('know errors of Node by their class, and patterns that remember', async () => {
    @Injectable()
    class Reads {
      @Callback('x') read() {
        readFileSync('/nowhere/at/all');
      }
    }
    const { events, run } = await start([Reads]);
    await run.run('x').catch(() => {});
    expect(events).toHaveFailed('Reads.read', Error);
    expect(events).not.toHaveFailed('Reads.read', TypeError);
    const pattern = /nowhere/g;
    for (let times = 0; times < 2; times++) expect(events).toHaveFailed('Reads.read', pattern);
    expect(await complaint(() => expect(events).toHaveFailed('Reads.read', () => true))).toBe(
      'toHaveFailed() was given a function as the error. Pass a class, a message, a pattern or a value.',
    );
  });

  it('list no more than can be read', async () => {
    const { events, run } = await start([Users]);
    for (let times = 0; times < 25; times++) await run.run('user_joined', 'Ada');
    expect(await complaint(() => expect(events).toHaveRun('user_left'))).toMatch(
      /\n {2}20\. [^\n]+\n {2}… and 5 more$/,
    );
  });

  it('refuse what is no TestEvents, and ids that no callback has, also behind not', async () => {
    const { events, run } = await start([Users]);
    expect(await complaint(() => expect(run as any).toHaveRun('x'))).toBe(
      'toHaveRun() was given a EventRunner. Pass a TestEvents, as in: expect(app.get(TestEvents)).',
    );
    expect(await complaint(() => expect(undefined as any).not.toHaveCalled('x'))).toBe(
      'toHaveCalled() was given undefined. Pass a TestEvents, as in: expect(app.get(TestEvents)).',
    );
    for (const event of [{}, '', 5, undefined]) {
      expect(await complaint(() => expect(events).not.toHaveRun(event as never))).toContain(
        'as the event. Pass a name, a class',
      );
    }
    expect(await complaint(() => expect(events).not.toHaveCalled('Users.ad'))).toBe(
      "toHaveCalled() was given 'Users.ad', but no callback has that id. There is 'Users.add'.",
    );
  });
});
