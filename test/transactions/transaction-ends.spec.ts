/** What ends a transaction, or a part of it, whatever opens it: commit, roll-back, or nobody knows; and what engines make of that. */
import { Injectable } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Callback, type CallbackFailure, inTransaction } from 'nestjs-callbacks';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { closeApps, deferred, startApp } from '../support/app.js';
import { TransactionalMemoryEngine } from '../support/transactional-memory-engine.js';
import { open, start, taken } from './any-transaction.js';

afterEach(closeApps);

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
    const failing = inTransaction(open, async () => {
      late = hasEnded.promise.then(() => events.run('user_joined', 'late'));
      reactions.onCheck = () => hasChecked.promise;
      slow = events.run('user_joined', 'slow');
      throw taken;
    });
    // It waits for runs that nobody awaits only where it is to commit.
    await expect(failing).rejects.toBe(taken);
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
    const failing = inTransaction(
      (work: (tx: object) => Promise<void>) => work({ query: async () => ({ rows: [] }) }),
      async () => {
        late = events.run('user_joined');
        throw taken;
      },
    );
    await expect(failing).rejects.toBe(taken);
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

  it.each(['40001', '40P01'])(
    'B9: whose transaction is to be repeated (%s) hands its own error to who repeats it',
    async (code) => {
      const conflict = Object.assign(new Error('could not serialize access'), { code });
      const engine = () => {
        const made = new TransactionalMemoryEngine(new MemoryStore(), 1_000);
        made.store = () => Promise.reject(conflict);
        return made;
      };
      const { events, log } = await startApp([Greetings], { engine });
      const { query } = { query: async () => ({ rows: [] }) };
      const conflicting = inTransaction(
        (work: (tx: object) => Promise<void>) => work({ query }),
        () => events.run('user_joined', 'Ada'),
      );
      await expect(conflicting).rejects.toBe(conflict);
      expect(log.of('error')[0]).toContain('"user_joined" was not run: could not serialize access');
    },
  );

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
