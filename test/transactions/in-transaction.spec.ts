/** What `inTransaction()` promises whatever opens the transaction: what waits for its end, in which order, and what is told. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, Scope } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Callback, currentEvent, EventRunner, inTransaction } from 'nestjs-callbacks';
import { closeApps, deferred, startApp, turn, until } from '../support/app.js';
import { open, start, taken } from './any-transaction.js';

afterEach(closeApps);

describe('A callback that waits for the commit', () => {
  it('is called after the inline ones when no transaction is open, and before the background ones', async () => {
    const { events, reactions } = await start();
    await events.run('user_joined', 'Ada');
    await until(() => reactions.ran.length === 4);
    expect(reactions.ran).toEqual(['check Ada', 'announce Ada', 'tell Ada', 'count Ada']);
  });

  it('is called when the transaction has committed, which waits for it, in the order of the runs', async () => {
    const { events, reactions } = await start();
    const result = await inTransaction(open, async () => {
      await events.run('user_joined', 'Ada');
      await events.run('user_joined', 'Grace');
      reactions.ran.push('committed');
      return 'the result';
    });
    expect(result).toBe('the result');
    expect(reactions.ran.filter((line) => !line.startsWith('count'))).toEqual([
      'check Ada',
      'check Grace',
      'committed',
      'announce Ada',
      'tell Ada',
      'announce Grace',
      'tell Grace',
    ]);
  });

  it('cannot undo the commit by what it throws, which is reported', async () => {
    const { events, reactions, failures, log } = await start();
    const broken = new Error('no one is there');
    reactions.onAnnounce = () => {
      throw broken;
    };
    await inTransaction(open, () => events.run('user_joined', 'Ada'));
    await events.run('user_joined', 'Grace');
    expect(reactions.ran).toEqual(expect.arrayContaining(['tell Ada', 'tell Grace']));
    expect(failures).toMatchObject([
      {
        callback: 'Reactions.announce',
        delivery: 'after-commit',
        error: broken,
        reachesCaller: false,
        arguments: ['Ada'],
      },
      { callback: 'Reactions.announce', delivery: 'after-commit', error: broken, reachesCaller: false },
    ]);
    expect(log.of('error')[0]).toMatch(/^"user_joined": Reactions.announce failed: no one is there/);
  });

  it('is told of by runSettled(): held in a transaction, else what became of it', async () => {
    const { events, reactions } = await start();
    reactions.onAnnounce = () => Promise.reject(taken);
    const brief = async () =>
      (await events.runSettled('user_joined', 'Ada')).map(({ callback, status }) => `${callback} ${status}`);
    expect(await inTransaction(open, brief)).toEqual([
      'Reactions.check fulfilled',
      'Reactions.announce held',
      'Reactions.regret held',
      'Reactions.tell held',
      'Reactions.count started',
    ]);
    expect(await brief()).toEqual([
      'Reactions.check fulfilled',
      'Reactions.announce rejected',
      'Reactions.tell fulfilled',
      'Reactions.count started',
    ]);
  });

  it('is not called when an inline one fails, nor is one that waits for the roll-back without a transaction', async () => {
    const { events, reactions } = await start();
    reactions.onCheck = () => {
      throw taken;
    };
    await expect(events.run('user_joined', 'Ada')).rejects.toBe(taken);
    await turn();
    expect(reactions.ran).toEqual(['check Ada']);
  });

  it('runs outside the transaction, in the async context in which that was opened', async () => {
    const { events, reactions } = await start();
    const request = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    reactions.onCheck = () => seen.push(currentEvent()?.tx);
    reactions.onAnnounce = async () => {
      seen.push(request.getStore(), currentEvent()?.arguments, currentEvent()?.tx);
      if (reactions.ran.includes('announce Grace')) return;
      await events.run('user_joined', 'Grace');
      seen.push(reactions.ran.at(-1));
    };
    const tx = {};
    await request.run('request 1', () =>
      inTransaction(
        (work: (tx: object) => Promise<void>) => work(tx),
        () => events.run('user_joined', 'Ada'),
      ),
    );
    expect(seen[0]).toBe(tx);
    expect(seen.slice(1, 4)).toEqual(['request 1', ['Ada'], undefined]);
    // Grace's run, inside the callback, found no transaction, and so announced at once.
    expect(seen.at(-1)).toBe('tell Grace');
  });

  it('shares the request-scoped instances of its run', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Basket {
      private readonly items: string[] = [];
      @Callback('user_joined') fill(name: string) {
        this.items.push(name);
      }
      @Callback('user_joined', { delivery: 'after-commit' }) empty() {
        sold.push(...this.items);
      }
    }
    const sold: string[] = [];
    const { events } = await startApp([Basket]);
    await inTransaction(open, () => events.run('user_joined', 'Ada'));
    await events.run('user_joined', 'Grace');
    expect(sold).toEqual(['Ada', 'Grace']);
  });
});

describe('Closing', () => {
  /** A transaction that stays open when the run in it has ended. */
  async function openAndRun(events: EventRunner) {
    const mayEnd = deferred();
    const hasRun = deferred();
    const ended = inTransaction(open, async () => {
      await events.run('user_joined', 'Ada');
      hasRun.resolve();
      await mayEnd.promise;
    });
    await hasRun.promise;
    return { mayEnd, ended };
  }

  it('waits for a transaction, and for what waits for its end', async () => {
    const { app, events, reactions } = await start();
    const { mayEnd, ended } = await openAndRun(events);
    let hasClosed = false;
    const closing = app.close().then(() => {
      hasClosed = true;
    });
    await turn();
    expect(hasClosed).toBe(false);
    mayEnd.resolve();
    await Promise.all([ended, closing]);
    expect(reactions.ran.at(-1)).toBe('tell Ada');
  });

  it('gives up at shutdownTimeout what waits for a transaction that does not end, and says so', async () => {
    const { app, events, reactions, failures } = await start({ shutdownTimeout: 20 });
    const { mayEnd, ended } = await openAndRun(events);
    await app.close();
    expect(failures.map(({ callback, error }) => [callback, (error as { code: string }).code])).toEqual([
      ['Reactions.announce', 'EVENTS_SHUTDOWN_TIMEOUT'],
      ['Reactions.regret', 'EVENTS_SHUTDOWN_TIMEOUT'],
      ['Reactions.tell', 'EVENTS_SHUTDOWN_TIMEOUT'],
    ]);
    expect((failures[0].error as Error).message).toContain('Reactions.announce (after commit)');
    mayEnd.resolve();
    await ended;
    expect(reactions.ran).not.toContain('announce Ada');
  });
});

describe('inTransaction()', () => {
  it.each([
    [undefined, 'inTransaction() was given undefined. Pass the open transaction itself.'],
    [
      { query() {}, connect() {}, totalCount: 1 },
      'inTransaction() was given a Pool. Each of its queries may go to another connection: pass the client on which you have sent "begin".',
    ],
  ])('refuses %p for a transaction', async (tx, message) => {
    let hasRun = false;
    const opened = inTransaction(
      (work: (tx: object) => Promise<void>) => work(tx as object),
      async () => {
        hasRun = true;
      },
    );
    await expect(opened).rejects.toThrow(message);
    expect(hasRun).toBe(false);
  });

  it('refuses what is no function, and opens nothing', async () => {
    const refused = (...args: unknown[]) => expect(inTransaction(...(args as [never, never]))).rejects;
    let hasOpened = false;
    await refused(() => (hasOpened = true)).toMatchObject({
      code: 'EVENTS_WITH_INVALID',
      message: 'inTransaction() was given undefined. Pass what to do in the transaction as the second argument.',
    });
    await refused({}, async () => {}).toMatchObject({ code: 'EVENTS_WITH_INVALID' });
    expect(hasOpened).toBe(false);
  });

  type Opening = (work: (tx: object) => Promise<unknown>) => Promise<unknown>;
  it.each<[string, Opening, number]>([
    ['has not called the work, so that nothing was done', async () => undefined, 0],
    ['resolved before the work in it was done', async (work) => void work({}), 1],
    ['called the work again while it was being done', (work) => Promise.all([work({}), work({})]), 1],
  ])('B5: refuses an open that %s', async (problem, opening, times) => {
    let done = 0;
    const work = async () => {
      done++;
      await turn();
    };
    await expect(inTransaction(opening, work)).rejects.toMatchObject({
      code: 'EVENTS_WITH_INVALID',
      message:
        `inTransaction() was given a way to open a transaction that ${problem}. ` +
        'Pass one that hands the work to the data layer and returns its promise: (work) => dataSource.transaction(work).',
    });
    expect(done).toBe(times);
  });

  it('B5: does not do the work for an open that calls it when it has ended, and lets one try again before', async () => {
    let again: () => Promise<unknown> = async () => undefined;
    let done = 0;
    const opening = async (work: (tx: object) => Promise<void>) => {
      again = () => work({});
      await work({}).catch(() => {});
      return work({});
    };
    await inTransaction(opening, async () => {
      if (++done === 1) throw taken;
    });
    await expect(again()).rejects.toThrow('called the work after it had ended itself');
    expect(done).toBe(2);
  });

  it('inside a callback does not change what the transaction of its run is', async () => {
    const seen: unknown[] = [];
    class Audit {
      @Callback('x') async note() {
        const outer = currentEvent();
        await inTransaction(open, async () => {
          seen.push(outer!.tx, currentEvent()!.tx);
        });
      }
    }
    const { events } = await startApp([Audit]);
    const tx = { query: async () => ({ rows: [{ pid: 1 }] }) };
    await events.with({ tx }).run('x');
    expect(seen).toEqual([tx, tx]);
  });
});

describe('with({ tx })', () => {
  it.each([
    [null, 'with({ tx }) was given null. Pass the open transaction itself.'],
    // B6
    [
      undefined,
      'with({ tx }) was given undefined. Pass the open transaction itself, or leave the field out to run outside of any that only ' +
        'you have: events.with(tx ? { tx } : {}).',
    ],
    ['tx', "with({ tx }) was given 'tx'. Pass the open transaction itself."],
    [
      { query() {}, connect() {}, totalCount: 1 },
      'with({ tx }) was given a Pool. Each of its queries may go to another connection: pass the client on which you have sent "begin".',
    ],
    [
      { constructor: { name: 'DataSource' }, getRepository() {}, query() {} },
      "with({ tx }) was given TypeORM's DataSource, outside a transaction. Pass the EntityManager that transaction() hands you.",
    ],
  ])('refuses %p', async (tx, message) => {
    const { events } = await startApp([]);
    expect(() => events.with({ tx: tx as never })).toThrow(message);
  });
});

describe('with({ id })', () => {
  it('B6: refuses an id that is not there, which would store twice what it is to store once', async () => {
    const { events } = await startApp([]);
    expect(() => events.with({ id: undefined })).toThrow(
      'with() was given id: undefined. Pass a line of 1 to 255 characters',
    );
    // These leave everything as it is, or are refused by who needs them.
    events.with({ key: undefined, delayMs: undefined, request: undefined });
  });
});

describe('EventRunner', () => {
  it('takes the transaction of where it was called, also when the run had to wait for the start', async () => {
    const ran: string[] = [];
    let done!: Promise<void>;

    @Injectable()
    class Early {
      constructor(events: EventRunner) {
        done = inTransaction(open, async () => {
          await events.run('started');
          ran.push('committing');
        });
      }
      @Callback('started', { delivery: 'after-commit' })
      answer() {
        ran.push('answer');
      }
    }
    await startApp([Early]);
    await done;
    expect(ran).toEqual(['committing', 'answer']);
  });
});
