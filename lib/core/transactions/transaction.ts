import type { AsyncResource } from 'node:async_hooks';
import { shared } from '../copies/shared.js';
import type { SqlTransaction } from '../engine/sql-transaction.js';
import { RunsWithin } from './runs-within.js';
import { Savepoints, type TransactionEnd } from './savepoints.js';
import { throwAborted } from './sql-state.js';
import { type HandleReading, type Nest, readHandle } from './data-layers.js';

/** Something that waits for the end of a transaction. */
export interface Held {
  /** The end that it waits for; `'end'`: whichever comes. */
  readonly on: 'commit' | 'rollback' | 'end';
  /** The transaction has ended so. Never rejects. */
  carryOut(): Promise<void>;
  /** The transaction has ended the other way. */
  drop(): void;
  /** Nobody knows how the transaction has ended. */
  doubt(cause: unknown): void;
  /** It only watches: nothing is lost if the transaction ends in another way than its opener believes. */
  readonly watches?: boolean;
}

/**
 * The fate of something held. `'passed on'` and `'put off'` hand it to the transaction around: as it is, or for the end of that.
 */
type Fate = 'carried out' | 'dropped' | 'doubted' | 'passed on' | 'put off';
type Fates = Readonly<Record<TransactionEnd, Readonly<Record<Held['on'], Fate>>>>;

const AFTER_TRANSACTION: Fates = {
  committed: { commit: 'carried out', rollback: 'dropped', end: 'carried out' },
  'rolled back': { commit: 'dropped', rollback: 'carried out', end: 'carried out' },
  unknown: { commit: 'doubted', rollback: 'doubted', end: 'carried out' },
};

const AFTER_SAVEPOINT: Fates = {
  committed: { commit: 'passed on', rollback: 'passed on', end: 'passed on' },
  'rolled back': { commit: 'dropped', rollback: 'put off', end: 'put off' },
  unknown: { commit: 'doubted', rollback: 'doubted', end: 'put off' },
};

/** A transaction, as the one who has opened it knows it. */
export interface Opening {
  /** The async context outside of it. */
  readonly context: AsyncResource;
  /** Whether the calling code still works in it: it may have been suspended. */
  isCurrent(): boolean;
  /** Does some work outside of it, for whoever else keeps it. */
  leave<T>(work: () => Promise<T>): Promise<T>;
}

interface Surroundings {
  /** The transaction that it is a savepoint of. */
  readonly parent?: Transaction;
  /** The transaction that the code around it works in, whether or not it is a savepoint of that. */
  readonly enclosing?: Transaction;
  /** Absent where only the handle is known: then nobody will see its end. */
  readonly opening?: Opening;
}

/** Handles that stand for one transaction, which has ended. */
const ended = shared('ended transactions', () => new WeakSet<object>());

/** The SQL of transactions, by their identity. */
const statements = shared('SQL of transactions', () => new WeakMap<object, SqlTransaction>());

/** An open transaction, or a savepoint of one, as runs in it see it. */
export class Transaction {
  private held: Held[] = [];
  private hasEnded = false;
  readonly savepoints: Savepoints<Transaction>;
  /** The runs that are begun in it. Whoever opens it waits for them. */
  readonly runs: RunsWithin;

  constructor(
    readonly handle: object,
    private readonly around: Surroundings = {},
    private readonly reading: HandleReading = readHandle(handle),
  ) {
    this.runs = new RunsWithin(around.enclosing?.runs);
    this.savepoints = new Savepoints<Transaction>(this, (inner) => this.within(inner), around.parent?.savepoints);
  }

  private within(handle: object): Transaction {
    const around = { parent: this, enclosing: this, opening: this.around.opening };
    return new Transaction(handle, around, handle === this.handle ? this.reading : readHandle(handle));
  }

  /** Its name in messages. */
  get kind(): string {
    return this.reading.kind;
  }

  /** The object by which it is told from others. */
  get identity(): object {
    return this.reading.identity;
  }

  /** Its SQL, if that is Postgres'. It is the same object for all runs in it, which an engine may store together. */
  get sql(): SqlTransaction | undefined {
    const { identity, sql } = this.reading;
    const known = sql && statements.get(identity);
    if (sql && !known) statements.set(identity, sql);
    return known ?? sql;
  }

  /** How its data layer itself nests a transaction in it, if that is more than a savepoint. */
  get nest(): Nest | undefined {
    return this.reading.nest;
  }

  get enclosing(): Transaction | undefined {
    return this.around.enclosing;
  }

  /** Whether somebody will say how it ends. */
  get seesEnd(): boolean {
    return this.around.opening !== undefined;
  }

  /** Whether somebody waits for the runs in it before it ends: whoever has opened it, or the savepoint that it is. */
  get waitsForRuns(): boolean {
    return !this.isOver && (this.seesEnd || this.around.parent !== undefined);
  }

  get isCurrent(): boolean {
    return this.around.opening?.isCurrent() ?? true;
  }

  /** Whether it has ended, as far as anybody says. */
  get isOver(): boolean {
    return this.hasEnded || ended.has(this.identity) || this.reading.isOver?.() === true;
  }

  /** Whether it is the other one, or a savepoint of it, however deep. */
  isWithin(other: Transaction): boolean {
    return this === other || (this.around.parent?.isWithin(other) ?? false);
  }

  /** Lets nothing be run in it any more; what it holds is to come. */
  close(): void {
    this.hasEnded = true;
    this.runs.close();
    if (!this.reading.isReused && this.around.parent?.identity !== this.identity) ended.add(this.identity);
  }

  /** Keeps something until the transaction has ended. */
  hold(held: Held): void {
    this.held.push(held);
  }

  /** Calls back when it has committed: of a savepoint, when the whole has. */
  whenCommitted(tell: () => void): void {
    this.hold({ on: 'commit', carryOut: async () => tell(), drop() {}, doubt() {}, watches: true });
  }

  /**
   * Says how it has ended, and carries out what it holds for that, in order; of a savepoint, once the whole has ended.
   * Never rejects.
   */
  async end(how: TransactionEnd, cause?: unknown): Promise<void> {
    this.close();
    const { parent } = this.around;
    const fates = (parent ? AFTER_SAVEPOINT : AFTER_TRANSACTION)[how];
    for (const held of this.held.splice(0)) {
      const fate = fates[held.on];
      if (fate === 'carried out') await held.carryOut();
      else if (fate === 'dropped') held.drop();
      else if (fate === 'doubted') held.doubt(cause);
      else parent?.hold(fate === 'passed on' ? held : untilTheEnd(held));
    }
  }

  /** Writes what its data layer has not written yet: that fails here, rather than at the commit. */
  async write(): Promise<void> {
    await this.reading.flush?.();
  }

  /**
   * Refuses a commit that cannot succeed: Postgres answers it with a roll-back, and no error, once a statement has failed,
   * though somebody has caught that.
   *
   * @throws EVENTS_TRANSACTION_ABORTED when somebody waits for the end, or nobody has caught the failure of a run
   */
  async requireCommittable(): Promise<void> {
    if (this.around.parent) return;
    if (this.held.some(({ watches }) => !watches) || this.runs.hasUnheard) await this.requireSound();
  }

  /** @throws EVENTS_TRANSACTION_ABORTED */
  async requireSound(): Promise<void> {
    await this.sql?.query('select 1 as is_sound', []).catch(throwAborted);
  }

  /** Whether a transaction that was opened within this one goes to the same session, and so is a savepoint of it. */
  async includes(inner: Transaction, pid: number | undefined): Promise<boolean> {
    if (inner.identity === this.identity) return true;
    if (pid === undefined || !inner.sql) return !this.sql && !inner.sql;
    return (await inner.session()) === pid;
  }

  /**
   * The process of the server that it goes to; `undefined` when it is not one of Postgres, or takes no more statements: a
   * transaction that is opened within it is then no savepoint of it.
   */
  async session(): Promise<number | undefined> {
    try {
      const { rows = [] } = (await this.sql?.query('select pg_backend_pid() as pid', [])) ?? {};
      return (rows[0] as { pid: number } | undefined)?.pid;
    } catch {
      return undefined;
    }
  }

  /** Does some work outside of it, and of the transaction that it was opened in. */
  outside<T>(work: () => Promise<T>): Promise<T> {
    const { opening } = this.around;
    return opening ? opening.context.runInAsyncScope(() => opening.leave(work)) : work();
  }
}

const untilTheEnd = (held: Held): Held => ({
  on: 'end',
  carryOut: () => held.carryOut(),
  drop: () => held.drop(),
  doubt: (cause: unknown) => held.doubt(cause),
});
