import {
  type EngineAttempt,
  type NewDelivery,
  type SqlTransaction,
  TransactionRefusedError,
} from 'nestjs-callbacks/engine';
import { MemoryEngine } from '../../lib/testing/memory/memory-engine.js';

/** A transaction that does nothing but remember what is to happen when it commits. */
export class MemoryTransaction implements SqlTransaction {
  readonly onCommit: (() => Promise<unknown>)[] = [];
  readonly onEnd: (() => void)[] = [];
  readonly locks = new Set<string>();
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

const locks = new Map<string, Promise<void>>();

/** Takes a lock to the end of the transaction, in the order of asking. */
async function lock(key: string, transaction: MemoryTransaction): Promise<void> {
  if (transaction.locks.has(key)) return;
  transaction.locks.add(key);
  const before = locks.get(key);
  let release!: () => void;
  locks.set(key, new Promise((resolve) => (release = resolve)));
  transaction.onEnd.push(release);
  await before;
}

/** Keeps the rules of transactions, which nobody needs but to be broken. */
export class TransactionalMemoryEngine extends MemoryEngine {
  override readonly capabilities = { transactions: true, order: true };

  override async store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void> {
    const inTransaction = (transaction as MemoryTransaction | undefined) ?? new MemoryTransaction();
    if (inTransaction.hasEnded) throw new TransactionRefusedError('over');
    for (const { event, callback, key } of deliveries) {
      if (key !== undefined) await lock(JSON.stringify([event, callback, key]), inTransaction);
    }
    inTransaction.onCommit.push(() => super.store(deliveries));
    if (!transaction) await inTransaction.end(true);
  }

  protected override attemptAt(...claimed: Parameters<MemoryEngine['attemptAt']>): EngineAttempt {
    const attempt = super.attemptAt(...claimed);
    const [row, claim] = claimed;
    let hasCompleted = false;
    return {
      ...attempt,
      complete: async () => hasCompleted || (await attempt.complete()),
      completeIn: async (transaction) => {
        if (row.claim !== claim) throw new Error('The claim is gone.');
        (transaction as MemoryTransaction).onCommit.push(async () => {
          hasCompleted = await attempt.complete();
        });
      },
    };
  }
}
