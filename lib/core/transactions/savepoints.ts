import type { Nest } from './data-layers.js';
import { isAborted } from './sql-state.js';
import { savepointFailed, throwAborted } from '../errors/transaction-errors.js';
import type { Transaction, TransactionEnd } from './transaction.js';

/** What must outlast parts that are not its own, though it is sent while they are open, by the same connection. */
interface Lasting {
  readonly owner: Parts;
  /** May be repeated. */
  readonly work: () => Promise<void>;
  hasFailed: boolean;
  /** A part that it was sent in has ended. */
  hasSeenEnd?: boolean;
}

/** A part from before it is opened until it has ended. */
export class OpenPart {
  readonly lasting: Set<Lasting>;
  readonly ended: Promise<void>;
  end!: () => void;

  constructor(
    underWay: Iterable<Lasting>,
    public transaction?: Transaction,
  ) {
    this.lasting = new Set(underWay);
    this.ended = new Promise((resolve) => (this.end = resolve));
  }
}

let savepoints = 0;

/**
 * What of a transaction can be rolled back on its own: savepoints, one after another, as they share a connection. What
 * others send while one is open is in it, too, and is sent again if it is rolled back.
 */
export class Parts {
  /** Whether what failed last was not the work of a part, but the transaction. */
  isBroken = false;
  private last: Promise<unknown> = Promise.resolve();
  private readonly open = new Set<OpenPart>();
  /** What is being sent, while a part may be opened. */
  private readonly underWay = new Set<Lasting>();

  constructor(
    private readonly whole: Transaction,
    private readonly make: (handle: object) => Transaction,
    /** What the whole itself is a part of. */
    private readonly outer: Parts | undefined,
  ) {}

  /**
   * Does some work in a part. What it rejects with is thrown on, when the part is rolled back.
   *
   * @throws EVENTS_TRANSACTION_ABORTED if the work hid an SQL error; EVENTS_SAVEPOINT_FAILED
   */
  add<T>(work: (part: Transaction) => Promise<T>): Promise<T> {
    const { sql, nest } = this.whole;
    if (!sql) return work(this.whole);
    const done = this.last.then(() => {
      this.isBroken = false;
      const part = this.enter();
      return nest ? this.nested(nest, part, work) : this.inSavepoint(part, work);
    });
    this.last = done.catch(() => {});
    return done;
  }

  /** Does some work that a part which happens to be open must not undo. It may be repeated. */
  async outlast(work: () => Promise<void>): Promise<void> {
    const lasting: Lasting = { owner: this, work, hasFailed: false };
    for (const part of this.innermost) part.lasting.add(lasting);
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

  /** The end of a part may have come between two statements of some work, or be what a failed one of the part waits for. */
  private async again(lasting: Lasting, error: unknown): Promise<void> {
    const open = this.innermost.filter((part) => part.lasting.has(lasting));
    if (open.length > 0 ? !isAborted(error) : !lasting.hasSeenEnd) throw error;
    await Promise.all(open.map(({ ended }) => ended));
    await lasting.work();
  }

  private get allUnderWay(): readonly Lasting[] {
    return [...this.underWay, ...(this.outer?.allUnderWay ?? [])];
  }

  /** Those that are open, each in the place of what it is within. */
  private get innermost(): readonly OpenPart[] {
    return [...this.open].flatMap((part) => {
      const inner = part.transaction?.parts.innermost ?? [];
      return inner.length > 0 ? inner : [part];
    });
  }

  /** A part is about to be opened, or has been by somebody else. */
  enter(transaction?: Transaction): OpenPart {
    const part = new OpenPart(this.allUnderWay, transaction);
    this.open.add(part);
    return part;
  }

  /**
   * A part has ended.
   *
   * @throws what sending something again rejects with: the transaction is at fault
   */
  async leave(part: OpenPart, how: TransactionEnd, cause?: unknown): Promise<void> {
    this.open.delete(part);
    await part.transaction?.end(how, cause);
    try {
      for (const lasting of part.lasting) await this.keep(lasting, how);
    } finally {
      part.end();
    }
  }

  private async keep(lasting: Lasting, how: TransactionEnd): Promise<void> {
    lasting.hasSeenEnd = true;
    if (lasting.hasFailed) return;
    if (lasting.owner !== this) {
      for (const around of this.outer?.open ?? []) if (around.transaction === this.whole) around.lasting.add(lasting);
    }
    if (how === 'committed' || this.isBroken) return;
    await lasting.work().catch((error: unknown) => {
      this.isBroken = true;
      throw error;
    });
  }

  /** In the data layer's own way. */
  private async nested<T>(nest: Nest, part: OpenPart, work: (part: Transaction) => Promise<T>): Promise<T> {
    let result: T;
    try {
      result = await nest(async (handle) => {
        part.transaction = this.make(handle);
        const done = await work(part.transaction);
        await part.transaction.requireSound();
        return done;
      });
    } catch (error) {
      this.isBroken = part.transaction === undefined;
      await this.leave(part, 'rolled back');
      throw error;
    }
    await this.leave(part, 'committed');
    return result;
  }

  private async inSavepoint<T>(part: OpenPart, work: (part: Transaction) => Promise<T>): Promise<T> {
    const name = `nestjs_callbacks_${++savepoints}`;
    let result: T;
    try {
      await this.send(`savepoint ${name}`);
      part.transaction = this.make(this.whole.handle);
      result = await work(part.transaction);
      await this.whole.sql!.query(`release savepoint ${name}`, []).catch(throwAborted);
    } catch (error) {
      part.transaction?.close();
      await this.rollBack(part, name);
      throw error;
    }
    await this.leave(part, 'committed');
    return result;
  }

  private async rollBack(part: OpenPart, name: string): Promise<void> {
    try {
      if (!part.transaction) return;
      await this.send(`rollback to savepoint ${name}`);
      await this.send(`release savepoint ${name}`);
    } finally {
      await this.leave(part, 'rolled back');
    }
  }

  private async send(statement: string): Promise<void> {
    try {
      await this.whole.sql!.query(statement, []);
    } catch (cause) {
      this.isBroken = true;
      throwAborted(cause, () => savepointFailed(statement, cause));
    }
  }
}
