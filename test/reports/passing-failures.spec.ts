/** A failure that passes through runs within runs is one failure: the log has it once, and then a line of each that it passes. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { ConflictException, Injectable } from '@nestjs/common';
import { Callback, type CallbackFailure, EventRunner } from 'nestjs-callbacks';
import { NOW, startDurable } from '../delivery/durable-app.js';
import { closeApps, firstLines, startApp, turn, until } from '../support/app.js';

afterEach(closeApps);

@Injectable()
class Nested {
  thrown: unknown = new Error('mailbox full');
  constructor(private readonly events: EventRunner) {}

  @Callback('a') a(how: 'run' | 'runParallel' = 'run') {
    return this.events[how]('b', how);
  }
  @Callback('b') async b(how: 'run' | 'runParallel' = 'run') {
    try {
      await this.events[how]('c');
    } finally {
      await turn();
    }
  }
  @Callback('c') c() {
    throw this.thrown;
  }

  @Callback('settled') async settled() {
    const [outcome] = await this.events.runSettled('c');
    if (outcome.status === 'rejected') throw outcome.reason;
  }
  @Callback('background', { delivery: 'background' }) later() {
    return this.events.run('c');
  }
  @Callback('optional', { optional: true }) perhaps() {
    return this.events.run('c');
  }
  @Callback('recursive') async recursive(depth: number): Promise<void> {
    if (depth === 0) throw this.thrown;
    await this.events.run('recursive', depth - 1);
  }
  @Callback('schemas') unanswered() {
    return (this.events as { run(event: unknown): Promise<void> }).run(7);
  }
}

const start = (options = {}) => startApp([Nested], options);
const failedAt = (lines: string[]) => firstLines(lines).filter((line) => line.includes(' failed: '));

describe('A failure that passes through runs', () => {
  it.each(['run', 'runParallel'] as const)(
    'A16: is in the log once with its stack, then in a line each (%s)',
    async (how) => {
      const failures: CallbackFailure[] = [];
      const { app, events, log } = await start({ onError: (failure: CallbackFailure) => failures.push(failure) });
      const { thrown } = app.get(Nested);

      await expect(events.run('a', how)).rejects.toBe(thrown);

      expect(log.of('error')).toEqual([
        expect.stringMatching(/^"c": Nested\.c failed: mailbox full\nError: mailbox full\n +at/),
      ]);
      expect(failedAt(log.of('debug'))).toEqual([
        '"b": Nested.b failed: mailbox full (told above)',
        '"a": Nested.a failed: mailbox full (told above)',
      ]);
      // Each is a fact of its own.
      expect(failures.map(({ event, callback, error }) => [event, callback, error === thrown])).toEqual([
        ['c', 'Nested.c', true],
        ['b', 'Nested.b', true],
        ['a', 'Nested.a', true],
      ]);
    },
  );

  it('A16: of a recursion, is in the log once', async () => {
    const { events, log } = await start();
    await expect(events.run('recursive', 300)).rejects.toThrow('mailbox full');
    expect(log.of('error')).toHaveLength(1);
    expect(failedAt(log.of('debug'))).toHaveLength(300);
  });

  it.each(['settled', 'background', 'optional'])('A16: is in the log once, where it ends (%s)', async (event) => {
    const { events, log } = await start();
    await events.run(event).catch(() => {});
    await until(() => failedAt(log.of('debug')).length > 0);
    expect(failedAt(log.of('error'))).toEqual(['"c": Nested.c failed: mailbox full']);
    expect(failedAt(log.of('debug'))).toHaveLength(1);
  });

  it('A16: is in the log once, when it is a refusal of a run', async () => {
    const { events, log } = await start();
    await expect(events.run('schemas')).rejects.toMatchObject({ code: 'EVENTS_EVENT_INVALID' });
    expect(log.of('error')).toHaveLength(1);
    expect(failedAt(log.of('debug'))).toHaveLength(1);
  });

  it('A16: of several callbacks in parallel, is in the log once for each', async () => {
    @Injectable()
    class Two {
      @Callback('c') second() {
        throw new Error('no answer');
      }
    }
    const { events, log } = await startApp([Nested, Two]);
    await expect(events.run('a', 'runParallel')).rejects.toMatchObject({ code: 'EVENTS_SEVERAL_FAILED' });
    expect(failedAt(log.of('error'))).toEqual([
      '"c": Nested.c failed: mailbox full',
      '"c": Two.second failed: no answer',
    ]);
    expect(failedAt(log.of('debug'))).toHaveLength(2);
  });

  it('A16: that is a normal answer on its way, is an error where nobody gets it', async () => {
    const { app, events, log } = await start();
    app.get(Nested).thrown = new ConflictException('taken');
    await events.run('optional');
    expect(failedAt(log.of('debug'))).toEqual(['"c": Nested.c failed: taken']);
    expect(failedAt(log.of('error'))).toEqual(['"optional": Nested.perhaps failed: taken']);
  });

  it('A16: of a durable attempt says at its level what becomes of the delivery', async () => {
    @Injectable()
    class Durable {
      constructor(private readonly events: EventRunner) {}
      @Callback('x', { delivery: 'durable', retry: { ...NOW, attempts: 1 } }) go() {
        return this.events.run('c');
      }
    }
    const { events, done, log } = await startDurable([Nested, Durable]);
    await events.run('x');
    await done();
    await until(() => log.of('error').length === 2);
    expect(firstLines(log.of('error'))).toEqual([
      '"c": Nested.c failed: mailbox full',
      expect.stringMatching(/^"x": Durable.go failed for good, at attempt 1 of 1, .* is dead: mailbox full$/),
    ]);
  });
});

describe('An error that is thrown again is another failure:', () => {
  it('A16: in a later run', async () => {
    const { events, log } = await start();
    for (let time = 0; time < 3; time++) await expect(events.run('c')).rejects.toThrow('mailbox full');
    expect(failedAt(log.of('error'))).toHaveLength(3);
  });

  it('A16: in a later run of the one that has caught it', async () => {
    @Injectable()
    class Stubborn {
      constructor(private readonly events: EventRunner) {}
      @Callback('stubborn') async go() {
        await this.events.run('c').catch(() => {});
        await this.events.run('c').catch(() => {});
      }
    }
    const { events, log } = await startApp([Nested, Stubborn]);
    await events.run('stubborn');
    expect(failedAt(log.of('error'))).toHaveLength(2);
  });

  it.each(['run', 'runParallel', 'runSettled'] as const)(
    'A16: in another callback of the same run (%s)',
    async (how) => {
      const shared = new Error('shared');
      @Injectable()
      class Both {
        @Callback('x', { optional: true }) async one() {
          throw shared;
        }
        @Callback('x', { optional: true }) async two() {
          throw shared;
        }
      }
      const { events, log } = await startApp([Both]);
      await events[how]('x');
      expect(failedAt(log.of('error'))).toEqual(['"x": Both.one failed: shared', '"x": Both.two failed: shared']);
    },
  );

  it('A16: what has no identity is told each time', async () => {
    const { app, events, log } = await start();
    app.get(Nested).thrown = 'mailbox full';
    await expect(events.run('a')).rejects.toBe('mailbox full');
    expect(failedAt(log.of('error'))).toHaveLength(3);
  });
});
