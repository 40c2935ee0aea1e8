import { savepointFailed } from '../errors/transaction-errors.js';
import type { SqlTransaction } from '../engine/sql-transaction.js';
import type { Nest } from './data-layers.js';
import { isAborted, throwAborted } from './sql-state.js';

export type TransactionEnd = 'committed' | 'rolled back' | 'unknown';

/** A transaction that can have savepoints. */
interface Whole {
  readonly handle: object;
  /** Absent when it is not one of Postgres: then it has no savepoints. */
  readonly sql: SqlTransaction | undefined;
  /** How its data layer itself nests a transaction in it, if that is more than a savepoint. */
  readonly nest: Nest | undefined;
}

/** A transaction within another one, as a savepoint opens it. It can have savepoints in turn. */
interface Divisible<Inner extends Divisible<Inner>> {
  readonly savepoints: Savepoints<Inner>;
  /** Nothing can be run in it any more. */
  close(): void;
  end(how: TransactionEnd, cause?: unknown): Promise<void>;
  /** @throws EVENTS_TRANSACTION_ABORTED */
  requireSound(): Promise<void>;
}

/**
 * Work that must outlast savepoints that are not its own, though it is sent while they are open, by the same connection.
 */
interface Lasting {
  readonly owner: object;
  /** May be repeated. */
  readonly work: () => Promise<void>;
  hasFailed: boolean;
  /** A savepoint that it was sent in has ended. */
  hasSeenEnd?: boolean;
}

/** A savepoint, from before it is opened until it has ended. */
export class OpenSavepoint<Inner> {
  readonly lasting: Set<Lasting>;
  readonly ended: Promise<void>;
  end!: () => void;

  constructor(
    underWay: Iterable<Lasting>,
    public transaction?: Inner,
  ) {
    this.lasting = new Set(underWay);
    this.ended = new Promise((resolve) => (this.end = resolve));
  }
}

let savepoints = 0;

/**
 * Opens savepoints of a transaction: parts of it that can be rolled back on their own. They come one after another, as they
 * share a connection. Whatever others send while one is open is in it, too, and is sent again if it is rolled back.
 */
export class Savepoints<Inner extends Divisible<Inner>> {
  /** Whether the last failure was that of the transaction, rather than of the work in a savepoint. */
  isBroken = false;
  private last: Promise<unknown> = Promise.resolve();
  private readonly open = new Set<OpenSavepoint<Inner>>();
  /** Work that is being sent, while a savepoint may be opened. */
  private readonly underWay = new Set<Lasting>();

  /**
   * @param make makes the transaction within the savepoint
   * @param outer the savepoints of the transaction that `whole` is itself a savepoint of
   */
  constructor(
    private readonly whole: Whole,
    private readonly make: (handle: object) => Inner,
    private readonly outer: Savepoints<Inner> | undefined,
  ) {}

  /**
   * Does some work in a savepoint. If the work rejects, the savepoint is rolled back, and then this rejects with the same.
   *
   * @param without is the work where there are no savepoints: it is done in the transaction itself
   * @throws EVENTS_TRANSACTION_ABORTED if the work hid an SQL error; EVENTS_SAVEPOINT_FAILED
   */
  within<T>(work: (inner: Inner) => Promise<T>, without: () => Promise<T>): Promise<T> {
    const { sql, nest } = this.whole;
    if (!sql) return without();
    const done = this.last.then(() => {
      this.isBroken = false;
      const savepoint = this.enter();
      return nest ? this.nested(nest, savepoint, work) : this.inSavepoint(sql, savepoint, work);
    });
    this.last = done.catch(() => {});
    return done;
  }

  /** Does some work that a savepoint which happens to be open must not undo. The work may be repeated. */
  async outlast(work: () => Promise<void>): Promise<void> {
    const lasting: Lasting = { owner: this, work, hasFailed: false };
    for (const savepoint of this.innermost) savepoint.lasting.add(lasting);
    this.underWay.add(lasting);
    try {
      await work();
    } catch (error) {
      lasting.hasFailed = true;
      await this.again(lasting, error);
    } finally {
      this.underWay.delete(lasting);
    }
  }

  /**
   * Repeats work that failed, if a savepoint may be at fault: it may have ended between two statements of the work, or the
   * work may have waited for its failed statement.
   */
  private async again(lasting: Lasting, error: unknown): Promise<void> {
    const open = this.innermost.filter((savepoint) => savepoint.lasting.has(lasting));
    if (open.length > 0 ? !isAborted(error) : !lasting.hasSeenEnd) throw error;
    await Promise.all(open.map(({ ended }) => ended));
    await lasting.work();
  }

  private get allUnderWay(): readonly Lasting[] {
    return [...this.underWay, ...(this.outer?.allUnderWay ?? [])];
  }

  /** The savepoints that are open, each in the place of the one that it is within. */
  private get innermost(): readonly OpenSavepoint<Inner>[] {
    return [...this.open].flatMap((savepoint) => {
      const inner = savepoint.transaction?.savepoints.innermost ?? [];
      return inner.length > 0 ? inner : [savepoint];
    });
  }

  /** Notes that a savepoint is about to be opened, or that somebody else has opened one. */
  enter(transaction?: Inner): OpenSavepoint<Inner> {
    const savepoint = new OpenSavepoint(this.allUnderWay, transaction);
    this.open.add(savepoint);
    return savepoint;
  }

  /**
   * Notes that a savepoint has ended, and sends again what must outlast it.
   *
   * @throws the error of sending something again: the transaction is at fault
   */
  async leave(savepoint: OpenSavepoint<Inner>, how: TransactionEnd, cause?: unknown): Promise<void> {
    this.open.delete(savepoint);
    await savepoint.transaction?.end(how, cause);
    try {
      for (const lasting of savepoint.lasting) await this.keep(lasting, how);
    } finally {
      savepoint.end();
    }
  }

  private async keep(lasting: Lasting, how: TransactionEnd): Promise<void> {
    lasting.hasSeenEnd = true;
    if (lasting.hasFailed) return;
    if (lasting.owner !== this) {
      for (const around of this.outer?.open ?? []) {
        if (around.transaction?.savepoints === this) around.lasting.add(lasting);
      }
    }
    if (how === 'committed' || this.isBroken) return;
    await lasting.work().catch((error: unknown) => {
      this.isBroken = true;
      throw error;
    });
  }

  /** Does the work in the data layer's own way. */
  private async nested<T>(nest: Nest, savepoint: OpenSavepoint<Inner>, work: (inner: Inner) => Promise<T>): Promise<T> {
    let result: T;
    try {
      result = await nest(async (handle) => {
        const inner = (savepoint.transaction = this.make(handle));
        const done = await work(inner);
        await inner.requireSound();
        return done;
      });
    } catch (error) {
      this.isBroken = savepoint.transaction === undefined;
      await this.leave(savepoint, 'rolled back');
      throw error;
    }
    await this.leave(savepoint, 'committed');
    return result;
  }

  private async inSavepoint<T>(
    sql: SqlTransaction,
    savepoint: OpenSavepoint<Inner>,
    work: (inner: Inner) => Promise<T>,
  ): Promise<T> {
    const name = `nestjs_callbacks_${++savepoints}`;
    let result: T;
    try {
      await this.send(sql, `savepoint ${name}`);
      const inner = (savepoint.transaction = this.make(this.whole.handle));
      result = await work(inner);
      await sql.query(`release savepoint ${name}`, []).catch(throwAborted);
    } catch (error) {
      savepoint.transaction?.close();
      await this.rollBack(sql, savepoint, name);
      throw error;
    }
    await this.leave(savepoint, 'committed');
    return result;
  }

  private async rollBack(sql: SqlTransaction, savepoint: OpenSavepoint<Inner>, name: string): Promise<void> {
    try {
      if (!savepoint.transaction) return;
      await this.send(sql, `rollback to savepoint ${name}`);
      await this.send(sql, `release savepoint ${name}`);
    } finally {
      await this.leave(savepoint, 'rolled back');
    }
  }

  private async send(sql: SqlTransaction, statement: string): Promise<void> {
    try {
      await sql.query(statement, []);
    } catch (cause) {
      this.isBroken = true;
      throwAborted(cause, () => savepointFailed(statement, cause));
    }
  }
}
