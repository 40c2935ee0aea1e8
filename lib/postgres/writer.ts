import type { SqlTransaction } from '../engine/index.js';
import type { CallerTransactions } from './caller-transactions.js';
import { type Connection, outcomeOf } from './connection/connection.js';
import { MissingQueueError } from './missing-queue.js';
import { OrderedWriter } from './ordered-writer.js';
import type { Statements } from './statements/statements.js';
import type { StoreOptions } from './statements/store.js';
import { type Addressed, jsonOfAll, type Runs, runsTo, type Stored, type StoredRun, writeRun } from './stored-run.js';

/** The things that a {@link Writer} needs. */
export interface WriterOptions extends StoreOptions {
  readonly connection: Connection;
  readonly statements: Statements;
  readonly transactions: CallerTransactions;
  /** The channel to notify on. */
  readonly channel: string;
  /** How long a statement may take, from when it is sent. */
  readonly timeoutMs: number;
  /** How many sessions may wait for keys at once. */
  readonly waiting: number;
}

/** Stores deliveries, all or none, and notifies the instances that work on them. */
export class Writer {
  private readonly unordered: Runs;
  private readonly ordered: OrderedWriter;
  /** Those of one transaction go together, in the order in which they come, as they share its connection. */
  private readonly inTransactions = new WeakMap<SqlTransaction, Runs>();

  constructor(private readonly options: WriterOptions) {
    this.unordered = runsTo((runs) => this.storeUnordered(runs));
    this.ordered = new OrderedWriter({ ...options, statement: options.statements.storeInOrder });
  }

  /**
   * Stores the deliveries of one run. What is wrong with them is found before they go with those of others.
   *
   * @param isOrdered whether some of them may wait for a lock on their key, so that runs without a key must not be stored
   *   with them
   */
  async store(deliveries: readonly Addressed[], isOrdered: boolean, transaction?: SqlTransaction): Promise<void> {
    const run = writeRun(deliveries, isOrdered);
    const stored = await (transaction ? this.runsOf(transaction).add(run) : this.storeOutside(run));
    if ('error' in stored) throw stored.error;
  }

  private storeOutside(run: StoredRun): Promise<Stored> {
    this.options.connection.requireSession();
    const storing = run.isOrdered ? this.ordered.add(run) : this.unordered.add(run);
    return storing.then(
      (stored) => ('error' in stored ? { error: outcomeOf(stored.error) } : stored),
      (error: unknown) => ({ error: outcomeOf(error) }),
    );
  }

  private async storeUnordered(runs: readonly StoredRun[]): Promise<void> {
    const { connection, statements, channel, timeoutMs, keepCompletedSeconds, leaseSeconds } = this.options;
    const params = [jsonOfAll(runs), keepCompletedSeconds, leaseSeconds];
    if (runs.some(({ isTold }) => isTold)) await connection.query(statements.store, [...params, channel], timeoutMs);
    else await connection.query(statements.storeUntold, params, timeoutMs);
  }

  private runsOf(transaction: SqlTransaction): Runs {
    let runs = this.inTransactions.get(transaction);
    if (!runs) {
      // Any other error has spoilt the transaction.
      const isFaultOfSome = (error: unknown) => error instanceof MissingQueueError;
      runs = runsTo((some) => this.storeWithin(transaction, some), isFaultOfSome);
      this.inTransactions.set(transaction, runs);
    }
    return runs;
  }

  private async storeWithin(transaction: SqlTransaction, runs: readonly StoredRun[]): Promise<void> {
    const { statements, transactions, channel } = this.options;
    const isOrdered = runs.some((run) => run.isOrdered);
    const statement = isOrdered ? statements.storeInOrderInTransaction : statements.storeInTransaction;
    const params = [jsonOfAll(runs), channel];
    const { missing } = await transactions.queryMarked<{ missing: string | null }>(transaction, statement, params);
    if (missing) throw new MissingQueueError(missing);
  }
}
