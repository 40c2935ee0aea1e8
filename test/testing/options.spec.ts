/** What `TestEventsModule` is imported with: a shuffled order, everything delivered twice. */
import { tracingChannel } from 'node:diagnostics_channel';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, EventsModule } from 'nestjs-callbacks';
import { TestEventsModule } from 'nestjs-callbacks/testing';
import { closeAll, compile, Emails, ran, start, Users } from '../support/test-kit.js';

afterEach(closeAll);

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
    [{ deliversTwice: 2 }, 'was given deliversTwice: 2. Pass true or false.'],
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
    ran.length = 0;
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
    for (const state of ['waiting', 'running', 'dead'] as const)
      expect((await deliveries.list({ state })).found).toEqual([]);
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

describe('with({ tx })', () => {
  it('D3: under the test kit names keepsEngine, where the memory is what keeps a delivery from being stored', async () => {
    const { run: events } = await start([Emails]);
    const run = events.with({ tx: { query: async () => ({ rows: [] }) } }).run('user_joined', 'Ada');
    await expect(run).rejects.toMatchObject({
      code: 'EVENTS_COMMIT_UNSEEN',
      message: expect.stringContaining(
        'No callback has run; TestEventsModule keeps deliveries in memory, where no transaction can store them; with ' +
          "TestEventsModule.forRoot({ keepsEngine: true }) it is the application's own engine that does. Or open the transaction by",
      ),
    });
  });
});
