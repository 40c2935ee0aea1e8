/** What `run()` promises: sequence, waiting, failures, and that nothing is swallowed. */
import { tracingChannel } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ConflictException, Injectable } from '@nestjs/common';
import { Callback, EventRunner } from 'nestjs-callbacks';
import { closeApps, deferred, startApp, turn } from '../support/app.js';

let ran: string[];

beforeEach(() => {
  ran = [];
});

afterEach(closeApps);

describe('run()', () => {
  it('awaits each callback before it calls the next, and resolves to nothing after the last', async () => {
    const first = deferred();
    @Injectable()
    class Steps {
      @Callback('x') async one() {
        ran.push('one begins');
        await first.promise;
        ran.push('one ends');
        return 1;
      }
      @Callback('x') two() {
        ran.push('two');
        return 2;
      }
      @Callback('x') async three() {
        await null;
        ran.push('three');
        return 3;
      }
    }
    const { events } = await startApp([Steps]);

    const run = events.run('x').then((value) => [...ran, value]);
    await turn();
    expect(ran).toEqual(['one begins']);
    first.resolve();

    expect(await run).toEqual(['one begins', 'one ends', 'two', 'three', undefined]);
  });

  it.each(['synchronously', 'by rejecting', 'after a while'])(
    'stops at a callback that throws %s, and rejects with that very object',
    async (how) => {
      const thrown = new ConflictException('taken');
      @Injectable()
      class Steps {
        @Callback('x') one() {
          ran.push('one');
        }
        @Callback('x') two(): unknown {
          if (how === 'synchronously') throw thrown;
          return how === 'by rejecting' ? Promise.reject(thrown) : turn().then(() => Promise.reject(thrown));
        }
        @Callback('x') three() {
          ran.push('three');
        }
        @Callback('x', { delivery: 'background' }) four() {
          ran.push('four');
        }
      }
      const { events } = await startApp([Steps]);

      await expect(events.run('x')).rejects.toBe(thrown);
      await turn();
      expect(ran).toEqual(['one']);
    },
  );

  it.each([undefined, null, 0, 'text', Symbol('s'), { status: 1 }])(
    'rejects with %p when that is what was thrown',
    async (thrown) => {
      @Injectable()
      class Steps {
        @Callback('x') one() {
          return Promise.reject(thrown);
        }
      }
      const { events, log } = await startApp([Steps]);

      const outcome = await events.run('x').then(
        () => 'resolved',
        (error: unknown) => ({ error }),
      );
      expect(outcome).toEqual({ error: thrown });
      expect(log.of('error')[0]).toMatch(/^"x": Steps\.one failed: it threw /);
    },
  );

  describe.each<[string, () => unknown]>([
    ['a proxy of a promise', () => new Proxy(Promise.resolve(1), {})],
    ['an object that inherits from Promise', () => Object.create(Promise.prototype)],
    [
      'a promise that hides its constructor',
      () =>
        Object.defineProperty(Promise.resolve(1), 'constructor', {
          get() {
            throw new TypeError('not for you');
          },
        }),
    ],
    [
      'an object that knows nothing but then()',
      () =>
        new Proxy(
          {},
          {
            get(_, key) {
              if (key !== 'then') throw new TypeError(`no ${String(key)}`);
              return (_done: unknown, fail: (error: unknown) => void) => fail(new TypeError('called'));
            },
          },
        ),
    ],
  ])('awaits %s', (_, make) => {
    it.each([
      ['at first', false, false],
      ['after another', true, false],
      ['while somebody watches', false, true],
    ])('%s, and goes on', async (_when, isLater, isWatched) => {
      const channel = tracingChannel('nestjs-callbacks:callback').start;
      const nothing = () => {};
      if (isWatched) channel.subscribe(nothing);
      class Oddities {
        @Callback('x') first() {
          return isLater ? turn() : undefined;
        }
        @Callback('x', { optional: true }) odd() {
          return make();
        }
        @Callback('x') behind() {
          ran.push('behind');
        }
      }
      const { app, events } = await startApp([Oddities]);

      await events.run('x');
      await events.runSettled('x');
      await events.runParallel('x');

      channel.unsubscribe(nothing);
      expect(ran).toEqual(['behind', 'behind', 'behind']);
      await app.close();
    });
  });

  it('waits for a foreign thenable once, even one that calls back twice or throws afterwards', async () => {
    @Injectable()
    class Steps {
      @Callback('x') one() {
        return {
          then(resolve: (value: unknown) => void, reject: (error: unknown) => void) {
            resolve(1);
            resolve(2);
            reject(new Error('too late'));
            throw new Error('later still');
          },
        };
      }
      @Callback('x') two() {
        ran.push('two');
      }
    }
    const { events } = await startApp([Steps]);

    await events.run('x');
    await turn();
    expect(ran).toEqual(['two']);
  });

  it("does not ask a native promise's own then", async () => {
    @Injectable()
    class Steps {
      @Callback('x') one() {
        const promise = turn().then(() => ran.push('one'));
        return Object.assign(promise, {
          then() {
            throw new Error('patched');
          },
        });
      }
      @Callback('x') two() {
        ran.push('two');
      }
    }
    const { events } = await startApp([Steps]);
    const channel = tracingChannel('nestjs-callbacks:callback').start;
    const nothing = () => {};

    await events.run('x');
    channel.subscribe(nothing);
    await events.run('x');
    channel.unsubscribe(nothing);

    expect(ran).toEqual(['one', 'two', 'one', 'two']);
  });

  it('sees a spy that was set after the boot', async () => {
    @Injectable()
    class Emails {
      @Callback('x') greet(name: string) {
        return name;
      }
    }
    const { app, events } = await startApp([Emails]);
    const spy = jest.spyOn(app.get(Emails), 'greet').mockReturnValue('faked');

    await events.run('x', 'Ada');

    expect(spy).toHaveBeenCalledWith('Ada');
  });

  it('may be called by a callback, also for the same event', async () => {
    @Injectable()
    class Chain {
      constructor(private readonly events: EventRunner) {}
      @Callback('x') async down(left: number) {
        ran.push(`x ${left}`);
        if (left > 0) await this.events.run('x', left - 1);
        else await this.events.run('y');
      }
      @Callback('y') end() {
        ran.push('y');
      }
    }
    const { events } = await startApp([Chain]);

    await events.run('x', 2);

    expect(ran).toEqual(['x 2', 'x 1', 'x 0', 'y']);
  });

  it.each<[unknown, string]>([
    [
      undefined,
      'run() was given undefined as the event. Pass a name, an instance of an event class, or what defineEvent() returned.',
    ],
    [
      '',
      "run() was given '' as the event. Pass a name, an instance of an event class, or what defineEvent() returned.",
    ],
    [
      { name: 'x' },
      'run() was given { name } as the event. Pass a name, an instance of an event class, or what defineEvent() returned.',
    ],
    [
      Promise.resolve(5),
      'run() was given a promise as the event. Await the promise first, and pass what it resolves to.',
    ],
    [
      class UserJoined {},
      'run() was given the function UserJoined as the event. Pass an instance of it: run(new UserJoined(…)).',
    ],
  ])('refuses %p, which is no event', async (event, message) => {
    const { events } = await startApp([]);
    await expect(events.run(event as string)).rejects.toMatchObject({ code: 'EVENTS_EVENT_INVALID', message });
  });
});

describe('An event that nobody answers', () => {
  @Injectable()
  class Emails {
    @Callback('user_joined') greet() {}
  }

  it('is fine, warns at its first run, and guesses what was meant', async () => {
    const { events, log } = await startApp([Emails]);

    await events.run('user_joind', 'Ada');
    await events.run('user_joind', 'Ada');
    await events.run('order_placed');

    expect(log.of('warn')).toEqual([
      '"user_joind" was run, but no callback answers it. Did you mean "user_joined"?',
      `"order_placed" was run, but no callback answers it. Declare one with @Callback('order_placed') on a provider of ` +
        'an imported module, or check the name.',
    ]);
  });

  it('is silent in production', async () => {
    const { events, log } = await startApp([Emails]);
    const environment = process.env.NODE_ENV;
    process.env.NODE_ENV = 'production';
    try {
      await events.run('user_joind');
    } finally {
      process.env.NODE_ENV = environment;
    }
    expect(log.of('warn')).toEqual([]);
  });

  it('is an error with `strict`', async () => {
    const { events } = await startApp([Emails], { strict: true });
    await expect(events.run('user_joind')).rejects.toMatchObject({
      code: 'EVENTS_NOBODY_ANSWERS',
      message: '"user_joind" was run, but no callback answers it. Did you mean "user_joined"?',
    });
  });

  it('does not make the runner remember every name it was given', async () => {
    const { events, log } = await startApp([]);
    for (let i = 0; i < 1_500; i++) await events.run(`made up ${i}`);
    expect(log.of('warn')).toHaveLength(1_000);
  });
});
