/** What becomes of runs in a transaction whose promises nobody awaits: it waits for them, and what fails is not lost. */
import { ConflictException, Injectable, Scope } from '@nestjs/common';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Callback, EventRunner, inTransaction } from 'nestjs-callbacks';
import { closeApps, deferred, firstLines, startApp, turn, until } from '../support/app.js';
import { open } from './any-transaction.js';

afterEach(closeApps);
afterEach(() => {
  jest.useRealTimers();
});

type Does = Partial<Record<'a' | 'b' | 'optional', () => unknown>>;

async function start(options: Parameters<typeof startApp>[1] = {}) {
  const ran: string[] = [];
  const does: Does = {};
  @Injectable()
  class Reactions {
    @Callback('a') async a() {
      ran.push('a');
      await does.a?.();
    }
    @Callback('b') async b() {
      ran.push('b');
      await does.b?.();
    }
    @Callback('optional', { optional: true }) async optional() {
      await does.optional?.();
    }
    @Callback('a', { delivery: 'after-commit' }) announce() {
      ran.push('announce a');
    }
    @Callback('b', { delivery: 'after-rollback' }) regret() {
      ran.push('regret b');
    }
  }
  return { ...(await startApp([Reactions], options)), ran, does };
}

/** A transaction that says how it has ended, and takes savepoints. */
function opened(ran: string[]) {
  const sent: string[] = [];
  const tx = {
    query: async (sql: string) => {
      if (!sql.startsWith('select')) sent.push(sql.replace(/ nestjs_callbacks_\d+/, ''));
      return { rows: [{ pid: 1, is_sound: 1 }] };
    },
  };
  const opens = async <T>(work: (handle: object) => Promise<T>): Promise<T> => {
    try {
      const result = await work(tx);
      ran.push('commit');
      return result;
    } catch (error) {
      ran.push('rollback');
      throw error;
    }
  };
  return { tx, sent, opens };
}

const soon = async () => {
  await turn();
  await turn();
};
const broken = new Error('broken');

describe('A run that nobody awaits', () => {
  it('B1: is waited for before the commit, with what it runs, also while that is waited for', async () => {
    const { events, ran, does } = await start();
    does.a = async () => {
      await soon();
      ran.push('a ends');
      void events.run('b');
    };
    does.b = async () => {
      await soon();
      ran.push('b ends');
    };
    await inTransaction(opened(ran).opens, async () => {
      void events.run('a');
      ran.push('the work is done');
    });
    expect(ran).toEqual(['a', 'the work is done', 'a ends', 'b', 'b ends', 'commit', 'announce a']);
  });

  it.each(['runSettled', 'runParallel'] as const)('B1: by %s() is waited for, too', async (method) => {
    const { events, ran, does } = await start();
    does.a = async () => {
      await soon();
      ran.push('a ends');
    };
    await inTransaction(opened(ran).opens, async () => void events[method]('a'));
    expect(ran).toEqual(['a', 'a ends', 'commit', 'announce a']);
  });

  it('B1: rolls back when it fails after the work, which rejects with the very error', async () => {
    const { events, ran, does, log } = await start();
    const taken = new ConflictException('taken');
    does.b = async () => {
      await soon();
      throw taken;
    };
    const done = inTransaction(opened(ran).opens, async () => {
      void events.run('a');
      void events.run('b');
      return 'a result';
    });
    await expect(done).rejects.toBe(taken);
    expect(ran).toEqual(['a', 'b', 'rollback']);
    expect(log.of('error')).toEqual([]);
  });

  it('B1: rolls back though an async function around it has awaited it, which nobody awaits either', async () => {
    const { events, ran, does } = await start();
    does.a = async () => {
      await soon();
      throw broken;
    };
    const emit = async (name: string) => {
      await events.run(name);
    };
    const emitted: Promise<void>[] = [];
    const done = inTransaction(opened(ran).opens, async () => {
      emitted.push(emit('a'));
      emitted[0].catch(() => {});
    });
    await expect(done).rejects.toBe(broken);
    expect(ran).toEqual(['a', 'rollback']);
  });

  it('B1: that failed before the work had ended leaves the transaction alone, and is told', async () => {
    const { events, ran, does, log } = await start();
    does.a = async () => {
      throw new ConflictException('taken');
    };
    await inTransaction(opened(ran).opens, async () => {
      void events.run('a');
      await soon();
    });
    expect(ran).toEqual(['a', 'commit']);
    expect(log.of('error')).toEqual([
      '"a" was run in a transaction and failed, and nobody awaited that run: taken. Await it, so that its failure is seen.\nundefined',
    ]);
  });

  it('B1: that failed at once is told, whether the transaction is rolled back or not', async () => {
    const { events, ran, does, log } = await start();
    does.a = () => {
      throw new ConflictException('taken');
    };
    const done = inTransaction(opened(ran).opens, async () => {
      void events.run('a');
      await soon();
      throw broken;
    });
    await expect(done).rejects.toBe(broken);
    expect(firstLines(log.of('error'))).toEqual([expect.stringContaining('"a" was run in a transaction and failed')]);
  });

  it('B1: in a callback, which ends before, rolls back', async () => {
    const { events, ran, does } = await start();
    does.a = () => void events.run('b');
    does.b = async () => {
      await soon();
      throw broken;
    };
    await expect(inTransaction(opened(ran).opens, async () => void events.run('a'))).rejects.toBe(broken);
  });

  it('B1: with the handle of the transaction is waited for, wherever it is begun', async () => {
    const { events, ran, does } = await start();
    const { opens, tx } = opened(ran);
    does.b = async () => {
      await soon();
      ran.push('b ends');
    };
    const asked = deferred();
    // Begun in the async context of before the transaction, as a pool or a queue would.
    const elsewhere = asked.promise.then(() => {
      void events.with({ tx }).run('b');
    });
    await inTransaction(opens, async () => {
      void events.with({ tx }).run('b');
      asked.resolve();
      await elsewhere;
    });
    expect(ran).toEqual(['b', 'b', 'b ends', 'b ends', 'commit']);
  });

  it('B1: in a nested transaction is waited for by that', async () => {
    const { events, ran, does } = await start();
    does.b = async () => {
      await soon();
      throw broken;
    };
    await inTransaction(opened(ran).opens, async () => {
      const inner: string[] = [];
      await expect(inTransaction(opened(inner).opens, async () => void events.run('b'))).rejects.toBe(broken);
      expect(inner).toEqual(['rollback']);
    });
    expect(ran).toEqual(['b', 'commit']);
  });

  it('B1: in an optional callback is waited for by its savepoint, which it takes back', async () => {
    const { events, ran, does, log } = await start();
    const { opens, sent } = opened(ran);
    does.optional = () => void events.run('b');
    does.b = async () => {
      await soon();
      throw broken;
    };
    await inTransaction(opens, () => events.run('optional'));
    expect(sent).toEqual(['savepoint', 'rollback to savepoint', 'release savepoint']);
    expect(ran).toEqual(['b', 'commit']);
    expect(firstLines(log.of('debug'))).toContainEqual(expect.stringMatching(/optional failed: broken/));
  });

  it('B1: that itself waits for the end of the transaction does not hold it up', async () => {
    const { events, ran, does, log } = await start();
    const ended: { promise?: Promise<unknown> } = {};
    does.a = () => events.run('b');
    does.b = async () => {
      await soon();
      await ended.promise;
    };
    ended.promise = inTransaction(opened(ran).opens, async () => {
      void events.run('a');
    });
    await ended.promise;
    await until(() => log.of('error').length > 0);
    expect(ran).toEqual(['a', 'b', 'commit']);
    expect(firstLines(log.of('error'))[0]).toContain('"b" was run in a transaction that had ended');
  });

  it('B1: that does not end is named after a while, and given up when the application closes', async () => {
    const { app, events, ran, does, log } = await start({ shutdownTimeout: 10 });
    does.a = () => new Promise(() => {});
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance'] });
    const done = inTransaction(opened(ran).opens, async () => void events.run('a'));
    done.catch(() => {});
    await turn();
    jest.advanceTimersByTime(5_000);
    jest.useRealTimers();
    expect(log.of('warn')).toEqual([
      'A transaction has waited 5 s with its commit for "a", which was run in it and not awaited. ' +
        'If that waits for the commit in turn, it waits for ever: run it outside, or after the transaction.',
    ]);
    await app.close();
    await expect(done).rejects.toMatchObject({ code: 'EVENTS_SHUTDOWN_TIMEOUT' });
    expect(ran).toEqual(['a', 'rollback']);
  });
});

describe('A run that somebody awaits in a transaction', () => {
  it('B1: and whose failure is caught is not told as if nobody had', async () => {
    const { events, ran, does, log } = await start();
    does.a = () => {
      throw new ConflictException('taken');
    };
    does.b = async () => {
      await soon();
      throw new ConflictException('taken');
    };
    await inTransaction(opened(ran).opens, async () => {
      await events.run('a').catch(() => {});
      const [{ status }] = await Promise.allSettled([events.run('b')]);
      expect(status).toBe('rejected');
      const later = events.run('b');
      await soon();
      await soon();
      await expect(later).rejects.toThrow('taken');
    });
    expect(ran.at(-1)).toBe('commit');
    expect(log.of('error')).toEqual([]);
  });

  it("B1: by a callback that catches its failure, after the work, is that callback's affair", async () => {
    const { events, ran, does } = await start();
    does.a = () => events.run('b').catch(() => {});
    does.b = async () => {
      await soon();
      throw broken;
    };
    await inTransaction(opened(ran).opens, async () => void events.run('a'));
    expect(ran).toEqual(['a', 'b', 'commit', 'announce a']);
  });

  it('is a promise like others', async () => {
    const { events } = await start();
    await inTransaction(open, async () => {
      const run: unknown = events.run('a');
      expect(run).toBeInstanceOf(Promise);
      expect(await (run as Promise<void>)).toBeUndefined();
      await expect(Promise.race([events.run('b'), new Promise(() => {})])).resolves.toBeUndefined();
    });
  });

  it('B1: in a constructor, before all instances exist, is waited for as well', async () => {
    const ran: string[] = [];
    let done: Promise<void> | undefined;
    @Injectable({ scope: Scope.DEFAULT })
    class Early {
      constructor(events: EventRunner) {
        done = inTransaction(opened(ran).opens, async () => void events.run('a'));
      }
      @Callback('a') async a() {
        await soon();
        ran.push('a');
      }
    }
    await startApp([Early]);
    await done;
    expect(ran).toEqual(['a', 'commit']);
  });
});
