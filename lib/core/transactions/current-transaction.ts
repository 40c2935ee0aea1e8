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

/** Has some work take place outside of whatever transaction is open. */
export function outsideTransactions<T>(work: () => Promise<T>): Promise<T> {
  const transaction = ambient.value;
  return transaction ? transaction.outside(() => withTransaction(undefined, work)) : work();
}

/** Does some work in a savepoint of a transaction, which can be rolled back on its own. */
export const inSavepoint = <T>(transaction: Transaction, work: () => T | PromiseLike<T>): Promise<T> => {
  const within = async (inner: Transaction) => withTransaction(inner, work);
  return transaction.savepoints.within(within, () => within(transaction));
};

/** Runs with the same handle share what is known of it, as a handle is one connection. */
const unseen = shared('unseen transactions', () => new WeakMap<object, Transaction>());

/** The transaction of a handle: one that the calling code works in, or else one whose end nobody will see. */
export function transactionOf(handle: object): Transaction {
  const reading = readHandle(handle);
  const { identity } = reading;
  const current = first(currentTransaction(), (one) => one.identity === identity && !one.isOver);
  if (current) return current;
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
