/** What `inTransaction()` promises whatever opens the transaction: what waits for its end, in which order, and what is told. */
import { createServer, get } from 'node:http';
import { once } from 'node:events';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { AddressInfo } from 'node:net';
import { Injectable, Scope } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Callback,
  type CallbackFailure,
  currentEvent,
  EventDeliveries,
  EventRunner,
  type EventsOptions,
  inTransaction,
} from 'nestjs-callbacks';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { closeApps, deferred, Log, startApp, turn, until } from '../support/app.js';
import { TransactionalMemoryEngine } from '../support/transactional-memory-engine.js';

afterEach(closeApps);

/** A transaction of something that no data layer here knows. */
const open = async <T>(work: (tx: object) => Promise<T>): Promise<T> => work({});
const taken = Object.assign(new Error('taken'), { code: '40001' });

@Injectable()
class Reactions {
  readonly ran: string[] = [];
  onCheck: () => unknown = () => {};
  onAnnounce: () => unknown = () => {};
  onBackground: () => unknown = () => {};

  @Callback('user_joined')
  check(name: string) {
    this.ran.push(`check ${name}`);
    return this.onCheck();
  }

  @Callback('user_joined', { delivery: 'after-commit' })
  announce(name: string) {
    this.ran.push(`announce ${name}`);
    return this.onAnnounce();
  }

  @Callback('user_joined', { delivery: 'after-rollback' })
  regret(name: string) {
    this.ran.push(`regret ${name}`);
  }

  @Callback('user_joined', { delivery: 'after-commit' })
  async tell(name: string) {
    await turn();
    this.ran.push(`tell ${name}`);
  }

  @Callback('user_joined', { delivery: 'background' })
  count(name: string) {
    this.ran.push(`count ${name}`);
    return this.onBackground();
  }
}

async function start(options: EventsOptions = {}, log = new Log()) {
  const failures: CallbackFailure[] = [];
  const started = await startApp([Reactions], { ...options, onError: (failure) => failures.push(failure) }, log);
  return { ...started, reactions: started.app.get(Reactions), failures };
}

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

describe('A transaction', () => {
  it('that is rolled back calls what waits for that, and rejects with its own error', async () => {
    const { events, reactions, log } = await start();
    await expect(
      inTransaction(open, async () => {
        await events.run('user_joined', 'Ada');
        throw taken;
      }),
    ).rejects.toBe(taken);
    expect(reactions.ran.filter((line) => line !== 'count Ada')).toEqual(['check Ada', 'regret Ada']);
    expect(
      log
        .of('debug')
        .filter((line) => line.includes('rolled back'))
        .map((line) => line.split('\n')[0]),
    ).toEqual([
      '"user_joined": Reactions.announce was not called: the transaction was rolled back',
      '"user_joined": Reactions.tell was not called: the transaction was rolled back',
    ]);
  });

  it('that the database refuses to commit is rolled back', async () => {
    const { events, reactions } = await start();
    const refusing = async (work: (tx: object) => Promise<void>) => {
      await work({});
      throw new Error('wrapped', { cause: taken });
    };
    await expect(inTransaction(refusing, () => events.run('user_joined', 'Ada'))).rejects.toThrow('wrapped');
    expect(reactions.ran).toContain('regret Ada');
  });

  it('of which nobody knows whether it has committed is reported, callback by callback', async () => {
    const { events, reactions, failures } = await start();
    const lost = async (work: (tx: object) => Promise<void>) => {
      await work({});
      throw Object.assign(new Error('the connection broke'), { code: 'EPIPE' });
    };
    await expect(inTransaction(lost, () => events.run('user_joined', 'Ada'))).rejects.toThrow('the connection broke');
    expect(reactions.ran.filter((line) => line !== 'count Ada')).toEqual(['check Ada']);
    expect(failures.map(({ callback, error }) => [callback, (error as Error).message.split('.')[0]])).toEqual([
      ['Reactions.announce', 'Reactions'],
      ['Reactions.regret', 'Reactions'],
      ['Reactions.tell', 'Reactions'],
    ]);
    expect(failures[0].error).toMatchObject({
      code: 'EVENTS_COMMIT_UNKNOWN',
      message:
        'Reactions.announce was not called for "user_joined", as nobody can say whether its transaction has committed: ' +
        'the connection broke. Look into the database, and do by hand what it would have done.',
    });
  });

  it('that its data layer tries again is one for each try', async () => {
    const { events, reactions } = await start();
    const persistent = async <T>(work: (tx: object) => Promise<T>): Promise<T> => {
      try {
        return await work({});
      } catch {
        return work({});
      }
    };
    let tries = 0;
    await inTransaction(persistent, async () => {
      await events.run('user_joined', `try ${++tries}`);
      if (tries === 1) throw taken;
    });
    expect(reactions.ran.filter((line) => /^(regret|announce)/.test(line))).toEqual(['regret try 1', 'announce try 2']);
  });

  it('does not hold up background callbacks, which are outside', async () => {
    const { events, reactions } = await start();
    const ended = deferred();
    reactions.onBackground = () => events.run('user_left', 'Ada').then(ended.resolve, ended.reject);
    await inTransaction(open, async () => {
      await events.run('user_joined', 'Ada');
      await ended.promise;
      expect(reactions.ran).toEqual(['check Ada', 'count Ada']);
    });
  });

  it('refuses a run that comes, or ends, after it', async () => {
    const { events, reactions } = await start();
    const [hasEnded, hasChecked] = [deferred(), deferred()];
    let late!: Promise<void>;
    let slow!: Promise<void>;
    await inTransaction(open, async () => {
      late = hasEnded.promise.then(() => events.run('user_joined', 'late'));
      reactions.onCheck = () => hasChecked.promise;
      slow = events.run('user_joined', 'slow');
    });
    hasEnded.resolve();
    await expect(late).rejects.toThrow(
      '"user_joined" was run in a transaction that has ended. No callback has run; await the run before the transaction ends, or run it outside.',
    );
    hasChecked.resolve();
    await expect(slow).rejects.toMatchObject({
      code: 'EVENTS_TRANSACTION_OVER',
      message: expect.stringContaining('had ended before its inline callbacks were done'),
    });
    expect(reactions.ran).toEqual(['check slow']);
  });

  it('refuses a run whose deliveries are stored when it has ended, rather than forget who waits for the commit', async () => {
    @Injectable()
    class Greetings {
      @Callback('user_joined', { delivery: 'durable' }) greet() {}
      @Callback('user_joined', { delivery: 'after-commit' }) announce() {}
    }
    const stored = deferred();
    const engine = () => {
      const made = new TransactionalMemoryEngine(new MemoryStore(), 1_000);
      made.store = () => stored.promise;
      return made;
    };
    const { events } = await startApp([Greetings], { engine });
    let late!: Promise<void>;
    await inTransaction(
      (work: (tx: object) => Promise<void>) => work({ query: async () => ({ rows: [] }) }),
      async () => {
        late = events.run('user_joined');
      },
    );
    stored.resolve();
    await expect(late).rejects.toThrow('was run in a transaction that had ended before its deliveries were stored.');
  });

  it('is another one for another application', async () => {
    const [one, other] = [await start(), await start()];
    await inTransaction(open, async () => {
      await one.events.run('user_joined', 'Ada');
      await other.events.run('user_joined', 'Grace');
      expect([one, other].map(({ reactions }) => reactions.ran.length)).toEqual([1, 1]);
    });
    expect(one.reactions.ran).toContain('announce Ada');
    expect(other.reactions.ran).toContain('announce Grace');
  });
});

describe('A nested transaction', () => {
  it('on a connection of its own is on its own, also when the outer one takes no statement any more', async () => {
    const { events, reactions } = await start();
    const session = (pid: number) => ({
      query: async (sql: string) => {
        if (pid === 0 && sql.includes('pg_backend_pid')) throw new Error('current transaction is aborted');
        return { rows: [{ pid }] };
      },
    });
    const within = (pid: number, work: () => Promise<void>) =>
      inTransaction((run: (tx: object) => Promise<void>) => run(session(pid)), work);
    for (const outer of [0, 1]) {
      await expect(
        within(outer, async () => {
          await within(2, () => events.run('user_joined', `beside ${outer}`));
          expect(reactions.ran).toContain(`announce beside ${outer}`);
          await within(outer || 3, () => events.run('user_joined', `part ${outer}`));
          throw taken;
        }),
      ).rejects.toBe(taken);
    }
    expect(reactions.ran).not.toContain('announce part 1');
    expect(reactions.ran).toContain('regret part 1');
  });

  it('of which nobody knows whether it has ended well is reported', async () => {
    const { events, failures, reactions } = await start();
    await inTransaction(open, async () => {
      const lost = async (work: (tx: object) => Promise<void>) => {
        await work({});
        throw new Error('the connection broke');
      };
      await inTransaction(lost, () => events.run('user_joined', 'Ada')).catch(() => {});
    });
    expect(failures.map(({ error }) => (error as { code: string }).code)).toEqual([
      'EVENTS_COMMIT_UNKNOWN',
      'EVENTS_COMMIT_UNKNOWN',
      'EVENTS_COMMIT_UNKNOWN',
    ]);
    expect(reactions.ran.filter((line) => line !== 'count Ada')).toEqual(['check Ada']);
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

describe('An engine', () => {
  @Injectable()
  class Greetings {
    readonly ran: string[] = [];
    @Callback('user_joined', { delivery: 'durable' })
    greet(name: string) {
      this.ran.push(name);
    }
  }

  it('that takes no transactions and fails after the commit is reported, with the arguments', async () => {
    const failures: CallbackFailure[] = [];
    const engine = () => {
      const made = memoryEngine()();
      made.store = () => Promise.reject(new Error('no one is there'));
      return made;
    };
    const { events } = await startApp([Greetings], { engine, onError: (failure) => failures.push(failure) });
    await inTransaction(open, () => events.run('user_joined', 'Ada'));
    expect(failures).toMatchObject([
      { callback: 'Greetings.greet', arguments: ['Ada'], error: { code: 'EVENTS_STORE_FAILED' }, reachesCaller: false },
    ]);
  });

  it('that takes transactions refuses one that is none of its, by name', async () => {
    const engine = () => new TransactionalMemoryEngine(new MemoryStore(), 1_000);
    const { events } = await startApp([Greetings], { engine });
    class ClientSession {}
    const session = new ClientSession();
    await expect(
      inTransaction(
        (work: (tx: object) => Promise<void>) => work(session),
        () => events.run('user_joined', 'Ada'),
      ),
    ).rejects.toThrow(
      '"user_joined" was run in a transaction that cannot store deliveries of the engine memory: it is a ClientSession. ' +
        'No callback has run; run it outside that transaction, or let the engine use its database.',
    );
    const manager = {
      constructor: { name: 'EntityManager' },
      getRepository() {},
      queryRunner: { isTransactionActive: true, query: async () => [] },
      connection: { options: { type: 'mysql' } },
    };
    await expect(events.with({ tx: manager }).run('user_joined', 'Ada')).rejects.toMatchObject({
      code: 'EVENTS_TRANSACTION_FOREIGN',
    });
  });
});

describe('A savepoint', () => {
  it('that cannot be given back stops the run, though the callback is optional', async () => {
    const ran: string[] = [];
    class Steps {
      @Callback('x', { optional: true }) fails() {
        throw taken;
      }
      @Callback('x') goesOn() {
        ran.push('on');
      }
    }
    const { events } = await startApp([Steps]);
    const sent: string[] = [];
    const tx = {
      async query(sql: string) {
        sent.push(sql.replace(/_\d+$/, ''));
        if (sql.startsWith('rollback')) throw new Error('the connection broke');
        return { rows: [] };
      },
    };
    for (const how of ['runParallel', 'runSettled'] as const) {
      await expect(events.with({ tx })[how]('x')).rejects.toMatchObject({ code: 'EVENTS_SAVEPOINT_FAILED' });
    }
    sent.length = 0;
    await expect(events.with({ tx }).run('x')).rejects.toMatchObject({
      code: 'EVENTS_SAVEPOINT_FAILED',
      message: expect.stringMatching(
        /^The transaction did not take "rollback to savepoint nestjs_callbacks_\d+", which keeps the failure of a callback apart: the connection broke\. Let this error roll/,
      ),
    });
    expect(sent).toEqual(['savepoint nestjs_callbacks', 'rollback to savepoint nestjs_callbacks']);
    expect(ran).toEqual([]);
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

describe('reportsOutsideCalls', () => {
  @Injectable()
  class Webhooks {
    static address: string;
    constructor(private readonly deliveries: EventDeliveries) {}

    @Callback('user_joined')
    async fetches() {
      await (await fetch(`${Webhooks.address}/hook`)).text();
    }
    @Callback('user_joined', { optional: true })
    async requests() {
      const [response] = await once(get(`${Webhooks.address}/hook`), 'response');
      response.resume();
    }
    @Callback('user_joined')
    async asks() {
      await this.deliveries.counts();
    }
    @Callback('user_joined', { delivery: 'after-commit' })
    async waits() {
      await this.fetches();
    }
    @Callback('user_joined')
    minds() {}
  }

  it('names the callbacks that call somebody while a transaction is open, once each', async () => {
    const server = createServer((_, response) => response.end('thanks')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    Webhooks.address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      for (const reportsOutsideCalls of [true, false]) {
        const { events, log } = await startApp([Webhooks], { reportsOutsideCalls, engine: memoryEngine() });
        await events.run('user_joined');
        expect(log.of('warn')).toEqual([]);
        await inTransaction(open, () => events.run('user_joined'));
        await inTransaction(open, async () => void (await events.runSettled('user_joined')));
        const why =
          'while the transaction was open that "user_joined" was run in: that waits for the answer, with all that it ' +
          "has locked. Give the callback delivery: 'durable' or 'after-commit'.";
        const told = [
          `Webhooks.fetches called GET ${Webhooks.address} ${why}`,
          `Webhooks.requests called GET ${Webhooks.address} ${why}`,
          `Webhooks.asks called EventDeliveries.counts() ${why}`,
        ];
        expect(log.of('warn')).toEqual(reportsOutsideCalls ? told : []);
      }
    } finally {
      server.close();
      server.closeAllConnections();
    }
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
