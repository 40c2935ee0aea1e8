import { shared } from '../copies/shared.js';
import { Ambient } from '../async/ambient.js';
import { Transaction } from './transaction.js';
import { readHandle } from './data-layers.js';

const ambient = shared('current transaction', () => new Ambient<Transaction | undefined>());

/** The transaction that the calling code works in, or has worked in, if it was opened through this package. */
export function currentTransaction(): Transaction | undefined {
  const innermost = ambient.value;
  return innermost && first(innermost, ({ isCurrent }) => isCurrent);
}

/** Has some work take place in a transaction, or, with `undefined`, in none. */
export function withTransaction<T>(transaction: Transaction | undefined, work: () => T): T {
  return transaction === undefined && ambient.value === undefined ? work() : ambient.run(transaction, work);
}

/** Whether the calling code works in a transaction, or was left behind by one that has ended. */
export const isInTransaction = (): boolean => ambient.value !== undefined;

/** Has some work take place outside of whatever transaction is open. */
export function outsideTransactions<T>(work: () => Promise<T>): Promise<T> {
  const transaction = ambient.value;
  return transaction ? transaction.outside(() => withTransaction(undefined, work)) : work();
}

/** Does some work in a savepoint of a transaction, which can be rolled back on its own. */
export const inSavepoint = <T>(transaction: Transaction, work: () => T | PromiseLike<T>): Promise<T> => {
  const within = async (inner: Transaction) => {
    const result = await withTransaction(inner, work);
    await inner.runs.ended();
    return result;
  };
  return transaction.savepoints.within(within, async () => withTransaction(transaction, work));
};

/** Runs with the same handle share what is known of it, as a handle is one connection. */
const unseen = shared('unseen transactions', () => new WeakMap<object, Transaction>());

/** The transactions that are open through this package, by their identity. */
const opened = shared('opened transactions', () => new WeakMap<object, Transaction>());

/** Has an open transaction found by its handle, also by code that has another async context. */
export function noteOpened(transaction: Transaction): void {
  opened.set(transaction.identity, transaction);
}

/**
 * The transaction of a handle: one that the calling code works in, or one that is open elsewhere, or else one whose end
 * nobody will see.
 */
export function transactionOf(handle: object): Transaction {
  const reading = readHandle(handle);
  const { identity } = reading;
  const current = first(currentTransaction(), (one) => one.identity === identity && !one.isOver);
  if (current) return current;
  const elsewhere = opened.get(identity);
  const innermost = elsewhere && first(elsewhere, (one) => one.identity === identity && !one.isOver);
  // A library that keeps it in a context of its own does not know of it there.
  if (innermost?.isCurrent) return innermost;
  let transaction = unseen.get(identity);
  if (!transaction) unseen.set(identity, (transaction = new Transaction(handle, {}, reading)));
  return transaction;
}

/** The innermost that will do, from one outwards. */
function first(from: Transaction | undefined, willDo: (transaction: Transaction) => boolean): Transaction | undefined {
  let transaction = from;
  while (transaction && !willDo(transaction)) transaction = transaction.enclosing;
  return transaction;
}
