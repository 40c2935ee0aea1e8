import { type INestApplication, Injectable } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import {
  Callback,
  type CallbackFailure,
  currentEvent,
  EventDeliveries,
  EventRunner,
  inTransaction,
} from 'nestjs-callbacks';
import { postgres, type PostgresOptions } from 'nestjs-callbacks/postgres';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { closeApps, deferred, startApp, until } from '../support/app.js';
import type { OpenLayer } from '../support/layers.js';

/** What answers, and what each test has it do. */
@Injectable()
export class Reactions {
  ran: string[] = [];
  inline: () => unknown = () => {};
  optional: () => unknown = () => {};
  afterCommit: () => unknown = () => {};
  durable: () => unknown = () => {};
  background: (name: string) => unknown = () => {};

  @Callback('user_joined')
  @Callback('user_left')
  async check(name: string) {
    this.ran.push(`check ${name}`);
    await this.inline();
  }

  @Callback('user_joined', { optional: true })
  @Callback('user_left', { optional: true })
  async count() {
    await this.optional();
  }

  @Callback('user_joined', { delivery: 'durable' })
  @Callback('user_left', { delivery: 'durable', retry: { delayMs: 1 } })
  async greet(name: string) {
    this.ran.push(`greet ${name}`);
    await this.durable();
  }

  @Callback('stored', { delivery: 'durable' })
  async only(name = 'only') {
    this.ran.push(`greet ${name}`);
  }

  @Callback('doomed', { delivery: 'after-rollback' })
  async mourn() {
    this.ran.push('mourn');
  }

  @Callback('later', { delivery: 'background' })
  async runMore(name: string) {
    await this.background(name);
  }

  @Callback('user_joined', { delivery: 'after-commit' })
  async announce(name: string) {
    this.ran.push(`announce ${name}`);
    await this.afterCommit();
  }

  @Callback('user_joined', { delivery: 'after-rollback' })
  async regret(name: string) {
    this.ran.push(`regret ${name}`);
  }
}

export interface Setting {
  readonly layer: OpenLayer;
  readonly engine: PostgresOptions;
  /** Outside any transaction. */
  query(text: string): Promise<{ rows: any[] }>;
}

const rollBack = new Error('rolled back');
const rolledBack = (work: Promise<unknown>) => expect(work).rejects.toBe(rollBack);

/** Events in transactions: the specification that every data layer keeps. */
export function specify(open: () => Promise<Setting>) {
  let layer: OpenLayer;
  let query: Setting['query'];
  let app: INestApplication;
  let events: EventRunner;
  let reactions: Reactions;
  let isEmbedded: boolean;
  const failures: CallbackFailure[] = [];

  beforeAll(async () => {
    const setting = await open();
    ({ layer, query } = setting);
    isEmbedded = 'pglite' in setting.engine;
    await query('create table if not exists users (name text primary key, email text not null)');
    ({ app, events } = await startApp([Reactions], {
      engine: postgres(setting.engine),
      onError: (failure) => failures.push(failure),
    }));
  });
  afterAll(async () => {
    await closeApps();
    await layer.close();
  });
  beforeEach(async () => {
    await query('delete from users');
    // The one instance of the application, with what the test before has told it to do undone.
    reactions = Object.assign(app.get(Reactions), new Reactions());
    failures.length = 0;
  });

  const users = async () => (await query('select name from users order by name')).rows.map(({ name }) => name);
  const insert = (tx: object, name: string) =>
    layer.query(tx, `insert into users (name, email) values ('${name}', '${name}@example.org')`);
  const fail = (tx: object) => layer.query(tx, `select 1/0`);
  const current = () => currentEvent()!.tx as object;
  const settled = () =>
    until(async () => {
      const counts = await app.get(EventDeliveries).counts();
      return counts.every(({ waiting, delayed, running }) => waiting + delayed + running === 0);
    });
  const transaction = <T>(work: (tx: any) => Promise<T>) => inTransaction((run) => layer.transaction<T>(run), work);

  it('the recipe stores its row and its delivery together, and announces what is committed', async () => {
    reactions.afterCommit = async () => {
      reactions.ran.push(`with ${(await users()).join()}`);
    };
    await layer.recipe(events).signUp('Ada', 'ada@example.org');
    expect(reactions.ran.filter((line) => line !== 'greet Ada')).toEqual(['check Ada', 'announce Ada', 'with Ada']);
    await settled();
    expect(reactions.ran).toContain('greet Ada');
    expect(await users()).toEqual(['Ada']);
  });

  it('what is rolled back was not stored, and is regretted rather than announced', async () => {
    await rolledBack(
      transaction(async (tx) => {
        await insert(tx, 'Ada');
        await events.run('user_joined', 'Ada', 'ada@example.org');
        throw rollBack;
      }),
    );
    expect(reactions.ran).toEqual(['check Ada', 'regret Ada']);
    await settled();
    expect(reactions.ran).toEqual(['check Ada', 'regret Ada']);
    expect(await users()).toEqual([]);
  });

  it('an inline callback writes by the same transaction, and can veto it', async () => {
    reactions.inline = async () => {
      await insert(current(), reactions.ran.at(-1)!);
      if (reactions.ran.includes('check Eve')) throw rollBack;
    };
    await transaction(() => events.run('user_left', 'Ada'));
    await settled();
    await rolledBack(transaction(() => events.run('user_left', 'Eve')));
    await settled();
    expect(await users()).toEqual(['check Ada']);
    expect(reactions.ran).toEqual(['check Ada', 'greet Ada', 'check Eve']);
  });

  it('with({ tx }) stores by the open transaction, and hands it to inline callbacks and to what those run', async () => {
    reactions.inline = async () => {
      if (reactions.ran.length > 1) return;
      await insert(current(), 'by the callback');
      await events.run('user_left', 'Grace');
    };
    await layer.transaction(async (tx) => {
      await insert(tx, 'Ada');
      await events.with({ tx }).run('user_left', 'Ada');
      expect(reactions.ran).toEqual(['check Ada', 'check Grace']);
    });
    await settled();
    expect(await users()).toEqual(['Ada', 'by the callback']);
    expect(reactions.ran.toSorted()).toEqual(['check Ada', 'check Grace', 'greet Ada', 'greet Grace']);

    await rolledBack(
      layer.transaction(async (tx) => {
        await events.with({ tx }).run('user_left', 'Eve');
        throw rollBack;
      }),
    );
    await settled();
    expect(reactions.ran).not.toContain('greet Eve');
  });

  it('with({ tx }) is refused, before any callback, where one waits for the end that nobody sees', async () => {
    await layer.transaction(async (tx) => {
      await expect(events.with({ tx }).run('user_joined', 'Ada', 'ada@example.org')).rejects.toMatchObject({
        code: 'EVENTS_COMMIT_UNSEEN',
        message: expect.stringMatching(
          /^"user_joined" was run with .+\. Nobody can see how that ends, and Reactions.announce waits for its end\. No callback has run; open the transaction by inTransaction/,
        ),
      });
      await insert(tx, 'Ada');
    });
    expect(reactions.ran).toEqual([]);
    expect(await users()).toEqual(['Ada']);
  });

  it('with({ tx }) and the handle that inTransaction() has opened is the same as without', async () => {
    await transaction((tx) => events.with({ tx }).run('user_joined', 'Ada', 'ada@example.org'));
    expect(reactions.ran).toContain('announce Ada');
    await settled();
  });

  it('an optional callback that fails takes its own writes with it, and nothing else', async () => {
    reactions.optional = async () => {
      await insert(current(), 'undone');
      await events.run('user_left', 'undone');
      await fail(current());
    };
    const before = reactions.optional;
    reactions.inline = () => {
      // The run within the optional callback has that callback, too.
      reactions.optional = reactions.ran.length > 1 ? () => {} : before;
    };
    await transaction(async (tx) => {
      await insert(tx, 'before');
      await events.run('user_joined', 'Ada', 'ada@example.org');
      await insert(tx, 'then');
    });
    await settled();
    expect(await users()).toEqual(['before', 'then']);
    expect(reactions.ran.toSorted()).toEqual(['announce Ada', 'check Ada', 'check undone', 'greet Ada']);
    expect(failures).toMatchObject([{ callback: 'Reactions.count', reachesCaller: false }]);
  });

  it('an optional callback that hides its SQL error is told of, and breaks nothing', async () => {
    reactions.optional = async () => {
      await insert(current(), 'undone');
      await fail(current()).catch(() => {});
    };
    await transaction(async (tx) => {
      await events.run('user_left', 'Ada');
      await insert(tx, 'then');
    });
    expect(await users()).toEqual(['then']);
    expect(failures).toMatchObject([{ callback: 'Reactions.count', error: { code: 'EVENTS_TRANSACTION_ABORTED' } }]);
    await settled();
  });

  it('optional callbacks of runs at the same time come one after another', async () => {
    let runs = 0;
    reactions.optional = async () => {
      const run = ++runs;
      await insert(current(), `run ${run}`);
      if (run === 1) await fail(current());
    };
    await transaction(async () => {
      await Promise.all([
        events.run('user_left', 'Ada'),
        events.run('user_left', 'Grace'),
        events.run('user_left', 'Eve'),
      ]);
    });
    await settled();
    expect(await users()).toEqual(['run 2', 'run 3']);
    expect(failures).toHaveLength(1);
  });

  it('what is stored while a savepoint of others is open outlasts that', async () => {
    const mayFail = deferred();
    reactions.optional = async () => {
      await mayFail.promise;
      await insert(current(), 'undone');
      await fail(current());
    };
    await transaction(async () => {
      const one = events.run('user_left', 'Ada');
      await until(() => reactions.ran.includes('check Ada'));
      await events.run('stored', 'meanwhile');
      mayFail.resolve();
      await Promise.all([one, events.run('stored', 'at the same time')]);
    });
    await settled();
    expect(await users()).toEqual([]);
    expect(reactions.ran.slice(1).toSorted()).toEqual(['greet Ada', 'greet at the same time', 'greet meanwhile']);
  });

  it('a transaction that is opened by what an ended one has left behind is one of its own', async () => {
    const hasEnded = deferred();
    let later!: Promise<void>;
    await transaction(async () => {
      later = hasEnded.promise.then(() => transaction(() => events.run('user_joined', 'Ada', 'ada@example.org')));
    });
    hasEnded.resolve();
    await later;
    expect(reactions.ran).toEqual(expect.arrayContaining(['check Ada', 'announce Ada']));
    await settled();
    expect(reactions.ran).toContain('greet Ada');
  });

  it('what background callbacks run is outside', async () => {
    const mayEnd = deferred();
    reactions.background = async (name) => {
      const run = events.run('user_joined', `after ${name}`, '').finally(mayEnd.resolve);
      // An embedded database has one connection: the run waits for the end of the transaction, which must not wait for it.
      if (isEmbedded) mayEnd.resolve();
      await run;
    };
    await rolledBack(
      transaction(async () => {
        await events.run('later', 'Ada');
        await mayEnd.promise;
        expect(reactions.ran).toContain('check after Ada');
        throw rollBack;
      }),
    );
    await until(() => reactions.ran.includes('announce after Ada'));
    await settled();
    expect(reactions.ran).toContain('greet after Ada');
    expect(failures).toEqual([]);
  });

  it('runSettled() runs the rest whatever fails; runParallel() one after another', async () => {
    reactions.inline = () => fail(current());
    reactions.optional = async () => insert(current(), `count ${reactions.ran.length}`);
    await transaction(async () => {
      const outcomes = await events.runSettled('user_joined', 'Ada', 'ada@example.org');
      expect(outcomes.map(({ callback, status }) => `${callback} ${status}`)).toEqual([
        'Reactions.check rejected',
        'Reactions.count fulfilled',
        'Reactions.greet stored',
        'Reactions.announce held',
        'Reactions.regret held',
      ]);
    });
    await settled();
    expect(await users()).toHaveLength(1);
    await expect(transaction(() => events.runParallel('user_left', 'Eve'))).rejects.toThrow(/division by zero|1\/0/);
    expect(await users()).toHaveLength(1);
  });

  it('an SQL error that somebody hides fails the transaction, rather than announce what Postgres rolls back', async () => {
    await expect(
      transaction(async (tx) => {
        await events.run('user_joined', 'Ada', 'ada@example.org');
        await fail(tx).catch(() => {});
      }),
    ).rejects.toMatchObject({ code: 'EVENTS_TRANSACTION_ABORTED' });
    expect(reactions.ran).toEqual(['check Ada', 'regret Ada']);
  });

  it('and regrets what nothing else waits for', async () => {
    await expect(
      transaction(async (tx) => {
        await events.run('doomed');
        await fail(tx).catch(() => {});
      }),
    ).rejects.toMatchObject({ code: 'EVENTS_TRANSACTION_ABORTED' });
    expect(reactions.ran).toEqual(['mourn']);
  });

  it('a run after the end is refused, whatever the data layer makes of it', async () => {
    let leaked!: object;
    let after!: () => Promise<void>;
    await transaction(async (tx) => {
      leaked = tx;
      const { promise, resolve } = deferred();
      const run = promise.then(() => events.run('user_left', 'late'));
      after = () => (resolve(), run);
    });
    await expect(after()).rejects.toMatchObject({ code: 'EVENTS_TRANSACTION_OVER' });
    const bare = async () => events.with({ tx: leaked as never }).run('user_left', 'late');
    await expect(bare()).rejects.toMatchObject({
      code: expect.stringMatching(/^EVENTS_(TRANSACTION_OVER|WITH_INVALID|SAVEPOINT_FAILED)$/),
    });
    await expect(async () => events.with({ tx: leaked as never }).run('stored')).rejects.toMatchObject({
      code: expect.stringMatching(/^EVENTS_(TRANSACTION_OVER|WITH_INVALID)$/),
    });
    await settled();
    expect(reactions.ran.filter((line) => line.startsWith('greet'))).toEqual([]);
  });

  it('what is no transaction is refused by name', () => {
    expect(() => events.with({ tx: layer.root as never })).toThrow(
      /^with\(\{ tx \}\) was given .+\. (Pass|Each of its queries).+/,
    );
  });

  it('a durable callback completes its delivery by its own transaction', async () => {
    let goes = 0;
    reactions.durable = async () => {
      goes++;
      const { delivery } = currentEvent()!;
      await layer.transaction(async (tx) => {
        await insert(tx, `go ${goes}`);
        await delivery!.completeIn(tx);
        if (goes === 1) throw rollBack;
      });
      // It has committed: what fails now changes nothing.
      throw new Error('too late');
    };
    await events.run('user_left', 'Ada');
    await settled();
    expect([goes, await users()]).toEqual([2, ['go 2']]);
    await until(() => failures.length === 2);
    expect(failures.map(({ error, attempt }) => [(error as Error).message, attempt?.attempt])).toEqual([
      ['rolled back', 1],
      ['too late', undefined],
    ]);
  });

  it('an engine that takes no transactions is told of what is committed, and only then', async () => {
    const { events: others, app: other } = await startApp([Reactions], { engine: memoryEngine() });
    const { ran } = other.get(Reactions);
    await inTransaction(
      (run) => layer.transaction<void>(run),
      async () => {
        await others.run('user_joined', 'Ada', 'ada@example.org');
        expect((await other.get(EventDeliveries).list({ state: 'waiting' })).found).toEqual([]);
      },
    );
    await until(() => ran.includes('greet Ada'));
    await rolledBack(
      inTransaction(
        (run) => layer.transaction<void>(run),
        async (): Promise<void> => {
          await others.run('user_joined', 'Eve', 'eve@example.org');
          throw rollBack;
        },
      ),
    );
    expect(ran.filter((line) => line.endsWith('Eve'))).toEqual(['check Eve', 'regret Eve']);
    await layer.transaction<void>(async (tx) => {
      await expect(others.with({ tx: tx as never }).run('user_left', 'Ada')).rejects.toMatchObject({
        code: 'EVENTS_COMMIT_UNSEEN',
      });
    });
    await other.close();
  });

  it('what is run in a nested transaction goes with that, and waits for the whole', async () => {
    if (!layer.nested) return;
    const nested = (tx: object, work: (inner: object) => Promise<void>) =>
      inTransaction((run) => layer.nested!<void>(tx, run), work);
    await transaction(async (tx) => {
      await nested(tx, async (inner) => {
        await insert(inner, 'Ada');
        await events.run('user_joined', 'Ada', 'ada@example.org');
      });
      await rolledBack(
        nested(tx, async (inner) => {
          await insert(inner, 'Eve');
          await events.run('user_joined', 'Eve', 'eve@example.org');
          throw rollBack;
        }),
      );
      await insert(tx, 'Grace');
      await events.run('user_joined', 'Grace', 'grace@example.org');
      expect(reactions.ran).toEqual(['check Ada', 'check Eve', 'check Grace']);
    });
    expect(reactions.ran.filter((line) => !line.startsWith('greet')).slice(3)).toEqual([
      'announce Ada',
      'regret Eve',
      'announce Grace',
    ]);
    await settled();
    expect(reactions.ran.filter((line) => line.startsWith('greet')).toSorted()).toEqual(['greet Ada', 'greet Grace']);
    expect(await users()).toEqual(['Ada', 'Grace']);

    reactions.ran = [];
    await transaction((tx) =>
      nested(tx, () => events.with({ tx }).run('user_joined', 'by the outer one', 'nobody@example.org')),
    );
    expect(reactions.ran).toContain('announce by the outer one');
    await settled();

    reactions.ran = [];
    await transaction(async (tx) => {
      const [isOpen, mayEnd] = [deferred(), deferred()];
      const inner = nested(tx, async (opened) => {
        await insert(opened, 'undone');
        isOpen.resolve();
        await mayEnd.promise;
        throw rollBack;
      });
      await isOpen.promise;
      const outer = events.run('stored', 'meanwhile');
      if (!layer.isHeldByNested) await outer;
      mayEnd.resolve();
      await rolledBack(inner);
      await outer;
    });
    await settled();
    expect(reactions.ran).toEqual(['greet meanwhile']);

    reactions.ran = [];
    await rolledBack(
      transaction(async (tx) => {
        await nested(tx, () => events.run('user_joined', 'Ada', 'ada@example.org'));
        throw rollBack;
      }),
    );
    expect(reactions.ran).toEqual(['check Ada', 'regret Ada']);
  });
}
