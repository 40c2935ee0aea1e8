import {
  CompletionRefusedError,
  type DeliveryAddress,
  type DeliveryFilter,
  type DeliveryQuery,
  type DiscardPortion,
  type DurableCallback,
  type DurableEngine,
  type EngineAttempt,
  type EngineHost,
  type NewDelivery,
  type RetryPortion,
  type SqlTransaction,
  TransactionRefusedError,
} from 'nestjs-callbacks/engine';
import { memoryEngine, type MemoryStore } from 'nestjs-callbacks/testing';

/** A transaction that does nothing but remember what is to happen when it commits. */
export class MemoryTransaction implements SqlTransaction {
  readonly onCommit: (() => Promise<unknown>)[] = [];
  readonly onEnd: (() => void)[] = [];
  readonly locks = new Map<string, Promise<void> | undefined>();
  hasEnded = false;

  async query() {
    return { rows: [] };
  }

  async end(commits: boolean): Promise<void> {
    this.hasEnded = true;
    if (commits) for (const work of this.onCommit) await work();
    for (const release of this.onEnd) release();
  }
}

/** Does work in a transaction, which commits when that resolves and is rolled back when it rejects. */
export async function inMemoryTransaction(work: (transaction: SqlTransaction) => Promise<void>): Promise<void> {
  const transaction = new MemoryTransaction();
  try {
    await work(transaction);
  } catch (error) {
    await transaction.end(false);
    throw error;
  }
  await transaction.end(true);
}

const locks = new Map<string, Promise<void>>();

/** Takes a lock to the end of the transaction, in the order of asking. */
async function lock(key: string, transaction: MemoryTransaction): Promise<void> {
  if (!transaction.locks.has(key)) {
    transaction.locks.set(key, locks.get(key));
    let release!: () => void;
    locks.set(key, new Promise((resolve) => (release = resolve)));
    transaction.onEnd.push(release);
  }
  await transaction.locks.get(key);
}

/** The memory engine with the rules of transactions, which nobody needs but specs. */
export class TransactionalMemoryEngine implements DurableEngine {
  readonly capabilities: DurableEngine['capabilities'];
  readonly name: string;
  private readonly engine: DurableEngine;

  constructor(store: MemoryStore, leaseMs: number) {
    this.engine = memoryEngine({ store, leaseMs })();
    this.name = this.engine.name;
    this.capabilities = { ...this.engine.capabilities, transactions: true };
  }

  async store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void> {
    const inTransaction = (transaction as MemoryTransaction | undefined) ?? new MemoryTransaction();
    if (inTransaction.hasEnded) throw new TransactionRefusedError('over');
    for (const { event, callback, key } of deliveries) {
      if (key !== undefined) await lock(JSON.stringify([event, callback, key]), inTransaction);
    }
    inTransaction.onCommit.push(() => this.engine.store(deliveries));
    if (!transaction) await inTransaction.end(true);
  }

  work(callback: DurableCallback, perform: (attempt: EngineAttempt) => Promise<void>): void {
    this.engine.work(callback, (attempt) => perform(inTransactions(attempt)));
  }

  get hasDuty(): boolean {
    return this.engine.hasDuty;
  }

  start = (host: EngineHost) => this.engine.start(host);
  declare = (callbacks: readonly DurableCallback[]) => this.engine.declare(callbacks);
  stopWorking = () => this.engine.stopWorking();
  stop = () => this.engine.stop();
  addresses = () => this.engine.addresses();
  counts = () => this.engine.counts();
  list = (query: DeliveryQuery) => this.engine.list(query);
  retry = (filter: DeliveryFilter, portion: RetryPortion) => this.engine.retry(filter, portion);
  discard = (filter: DeliveryFilter, portion: DiscardPortion) => this.engine.discard(filter, portion);
  pause = (filter: Partial<DeliveryAddress>) => this.engine.pause!(filter);
  resume = (filter: Partial<DeliveryAddress>) => this.engine.resume!(filter);
}

/** An attempt that a transaction can complete, too. */
function inTransactions(attempt: EngineAttempt): EngineAttempt {
  let [isSettled, isCompleted] = [false, false];
  let completedIn: MemoryTransaction | undefined;
  const noting = async (settling: Promise<boolean>) => {
    const wasClaimed = await settling;
    isSettled ||= wasClaimed;
    return wasClaimed;
  };
  return {
    ...attempt,
    complete: async () => isCompleted || noting(attempt.complete()),
    retryIn: (ms, error) => noting(attempt.retryIn(ms, error)),
    ...(attempt.postpone && { postpone: (ms: number) => noting(attempt.postpone!(ms)) }),
    bury: (error) => noting(attempt.bury(error)),
    release: () => noting(attempt.release()),
    completeIn: async (transaction) => {
      const { hasEnded, onCommit } = transaction as MemoryTransaction;
      if (hasEnded) throw new TransactionRefusedError('over');
      if (isCompleted || completedIn === transaction) throw new CompletionRefusedError('completed');
      if (isSettled || attempt.signal.aborted) throw new CompletionRefusedError('lost');
      completedIn = transaction as MemoryTransaction;
      onCommit.push(async () => {
        isCompleted = await noting(attempt.complete());
      });
    },
  };
}
