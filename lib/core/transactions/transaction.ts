import type { AsyncResource } from 'node:async_hooks';
import type { SqlTransaction } from '../engine/engine.js';
import { Parts } from './savepoints.js';
import { throwAborted } from '../errors/transaction-errors.js';
import { type HandleReading, type Nest, readHandle } from './data-layers.js';

/** What happens when a transaction has ended, in one way or the other. */
export interface Held {
  /** `'end'`: in either way. */
  readonly on: 'commit' | 'rollback' | 'end';
  /** Never rejects. */
  perform(): Promise<void>;
  /** It ended the other way. */
  drop(): void;
  /** Nobody knows which way. */
  doubt(cause: unknown): void;
}

export type TransactionEnd = 'committed' | 'rolled back' | 'unknown';

/** What the one who has opened a transaction knows of it. */
export interface Opening {
  /** The async context outside of it. */
  readonly context: AsyncResource;
  /** Whether it still is what the calling code works in: it may have been suspended. */
  isCurrent(): boolean;
  /** Does some work outside of it, for whoever else keeps it. */
  leave<T>(work: () => Promise<T>): Promise<T>;
}

interface Surroundings {
  /** What it is a part of. */
  readonly parent?: Transaction;
  /** What the code around it works in, whether or not it is a part of that. */
  readonly enclosing?: Transaction;
  /** Absent where only the handle is known, and nobody will see its end. */
  readonly opening?: Opening;
}

/** Handles that stand for one transaction, which has ended. */
const ended = new WeakSet<object>();

/** An open transaction, or a part of one that can be rolled back on its own, as runs in it see it. */
export class Transaction {
  private held: Held[] = [];
  private hasEnded = false;
  /** What of it can be rolled back on its own. */
  readonly parts: Parts;

  constructor(
    readonly handle: object,
    private readonly around: Surroundings = {},
    private readonly reading: HandleReading = readHandle(handle),
  ) {
    this.parts = new Parts(this, (inner) => this.partBy(inner), around.parent?.parts);
  }

  private partBy(handle: object): Transaction {
    const around = { parent: this, enclosing: this, opening: this.around.opening };
    return new Transaction(handle, around, handle === this.handle ? this.reading : readHandle(handle));
  }

  /** As messages name it. */
  get kind(): string {
    return this.reading.kind;
  }

  /** What it is told from others by. */
  get identity(): object {
    return this.reading.identity;
  }

  /** Its SQL, if that is Postgres'. */
  get sql(): SqlTransaction | undefined {
    return this.reading.sql;
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

  get isCurrent(): boolean {
    return this.around.opening?.isCurrent() ?? true;
  }

  /** Whether it has ended, as far as anybody says. */
  get isOver(): boolean {
    return this.hasEnded || ended.has(this.identity) || this.reading.isOver?.() === true;
  }

  /** Whether it is another one, or a part of it. */
  isWithin(other: Transaction): boolean {
    return this === other || (this.around.parent?.isWithin(other) ?? false);
  }

  /** Nothing can be run in it any more; what was held is to come. */
  close(): void {
    this.hasEnded = true;
    if (!this.reading.isReused && this.around.parent?.identity !== this.identity) ended.add(this.identity);
  }

  /** Keeps something until it has ended. */
  hold(held: Held): void {
    this.held.push(held);
  }

  /** It has ended: performs what was held for that, in order; of a part, once the whole has ended. Never rejects. */
  async end(how: TransactionEnd, cause?: unknown): Promise<void> {
    this.close();
    const { parent } = this.around;
    for (const held of this.held.splice(0)) {
      const isDue = held.on === 'end' || held.on === (how === 'committed' ? 'commit' : 'rollback');
      if (how === 'unknown' && held.on !== 'end') held.doubt(cause);
      else if (parent && how === 'committed') parent.hold(held);
      else if (parent && isDue) parent.hold({ ...bound(held), on: 'end' });
      else if (isDue) await held.perform();
      else held.drop();
    }
  }

  /** What its data layer has not written yet fails here, rather than at the commit. */
  async write(): Promise<void> {
    await this.reading.flush?.();
  }

  /**
   * Postgres answers "commit" with a roll-back, and no error, once a statement has failed, though somebody caught that.
   *
   * @throws EVENTS_TRANSACTION_ABORTED when somebody waits for the end
   */
  async requireCommittable(): Promise<void> {
    if (!this.around.parent && this.held.length > 0) await this.requireSound();
  }

  /** @throws EVENTS_TRANSACTION_ABORTED */
  async requireSound(): Promise<void> {
    await this.sql?.query('select 1 as is_sound', []).catch(throwAborted);
  }

  /** Whether a transaction that was opened within this one goes to the same session, and so is a part of it. */
  async includes(inner: Transaction, pid: number | undefined): Promise<boolean> {
    if (inner.identity === this.identity) return true;
    if (pid === undefined || !inner.sql) return !this.sql && !inner.sql;
    return (await inner.session()) === pid;
  }

  /**
   * The process of the server that it goes to; `undefined` when it is not Postgres', or takes no statement any more: what is
   * opened within it then is no part of it.
   */
  async session(): Promise<number | undefined> {
    try {
      const { rows = [] } = (await this.sql?.query('select pg_backend_pid() as pid', [])) ?? {};
      return (rows[0] as { pid: number } | undefined)?.pid;
    } catch {
      return undefined;
    }
  }

  /** Does some work outside of it, and of what it is opened in. */
  outside<T>(work: () => Promise<T>): Promise<T> {
    const { opening } = this.around;
    return opening ? opening.context.runInAsyncScope(() => opening.leave(work)) : work();
  }
}

const bound = (held: Held) => ({
  perform: () => held.perform(),
  drop: () => held.drop(),
  doubt: (cause: unknown) => held.doubt(cause),
});
