import {
  type NewDelivery,
  type SqlTransaction,
  TransactionRefusedError,
  UnknownOutcomeError,
} from '../engine/index.js';
import { Batches } from './batches.js';
import { type Connection, outcomeOf } from './connection/connection.js';
import type { CallerTransactions } from './caller-transactions.js';
import type { Statements } from './statements/statements.js';

/** A delivery, and the queue that it goes to. */
export interface Addressed {
  readonly queue: string;
  readonly delivery: NewDelivery;
  /** Whom to notify; `undefined`: nobody need be told. */
  readonly call: string | undefined;
}

const FOREIGN_KEY_VIOLATION = '23503';

/** Whether a run's deliveries are stored, or why not. */
type Stored = { readonly isStored: true } | { readonly error: unknown };

/** Stores deliveries, all or none, and notifies the instances that work on them. */
export class Writer {
  private readonly runs: Batches<readonly Addressed[], Stored>;

  constructor(
    private readonly connection: Connection,
    private readonly statements: Statements,
    private readonly channel: string,
    private readonly timeoutMs: number,
    private readonly transactions: CallerTransactions,
  ) {
    this.runs = new Batches((runs, leftMs) => this.storeTogether(runs, leftMs), timeoutMs);
  }

  /**
   * @param isOrdered whether some of them may wait for a lock on their key, so that runs without a key must not be stored
   *   with them
   */
  async store(deliveries: readonly Addressed[], isOrdered: boolean, transaction?: SqlTransaction): Promise<void> {
    const { storeInTransaction, storeInOrder } = this.statements;
    if (transaction) {
      const statement = isOrdered ? storeInOrder : storeInTransaction;
      const mark = await this.transactions.join(transaction);
      return this.write(
        deliveries,
        statement,
        (sql, params) => this.transactions.query(transaction, sql, params),
        mark,
      );
    }
    this.connection.requireSession();
    const stored = await (isOrdered ? this.storeAlone(deliveries, storeInOrder) : this.storeAmong(deliveries));
    if ('error' in stored) throw stored.error;
  }

  private storeAmong(deliveries: readonly Addressed[]): Promise<Stored> {
    return this.runs.add(deliveries).catch((error: unknown) => ({ error: outcomeOf(error) }));
  }

  /** Stores several runs by one statement. If the database refuses that, stores each alone: only some may be at fault. */
  private async storeTogether(runs: readonly (readonly Addressed[])[], leftMs: number): Promise<Stored[]> {
    const { store } = this.statements;
    const startedAt = performance.now();
    const together = await this.storeAlone(runs.flat(), store, leftMs);
    const wasRefused = 'error' in together && !(together.error instanceof UnknownOutcomeError);
    if (!wasRefused || runs.length === 1) return runs.map(() => together);
    const stillLeftMs = Math.max(1, leftMs - (performance.now() - startedAt));
    return Promise.all(runs.map((run) => this.storeAlone(run, store, stillLeftMs)));
  }

  private async storeAlone(
    deliveries: readonly Addressed[],
    statement: string,
    timeoutMs = this.timeoutMs,
  ): Promise<Stored> {
    try {
      await this.write(deliveries, statement, (sql, params) => this.connection.query(sql, params, timeoutMs));
      return { isStored: true };
    } catch (error) {
      return { error: outcomeOf(error) };
    }
  }

  private async write(
    deliveries: readonly Addressed[],
    statement: string,
    query: SqlTransaction['query'],
    mark = '',
  ): Promise<void> {
    const input = deliveries.map(({ queue, call, delivery: { id, key, delayMs, event, arguments: args } }) => ({
      call,
      name: queue,
      id,
      key,
      delayMs,
      data: { event, ...(key !== undefined && { key }), arguments: args },
    }));
    const marked = statement === this.statements.store ? [] : [mark];
    const { rows } = await query(statement, [JSON.stringify(input), this.channel, ...marked]);
    const { missing, isOpen } = (rows[0] ?? {}) as { missing?: string | null; isOpen?: boolean };
    if (isOpen === false) throw new TransactionRefusedError('over');
    if (missing) throw new MissingQueueError(missing);
  }
}

/** Somebody has deleted a queue, so nothing is stored. */
export class MissingQueueError extends Error {
  /** It counts as said by the database itself: see `outcomeOf()`. */
  readonly code = FOREIGN_KEY_VIOLATION;

  constructor(queue: string) {
    super(`somebody has deleted the queue ${queue} from the database.`);
  }
}

/** Whether storing failed because a queue is missing. */
export const isQueueMissing = (error: unknown) => (error as { code?: unknown } | null)?.code === FOREIGN_KEY_VIOLATION;
