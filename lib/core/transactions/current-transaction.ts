import { AsyncLocalStorage } from 'node:async_hooks';
import { Transaction } from './transaction.js';
import { readHandle } from './data-layers.js';

const storage = new AsyncLocalStorage<Transaction | undefined>();
/** Asking the storage costs something on every run; before its first use there is nothing to ask for. */
let isInUse = false;

/** The transaction that the calling code works in, or has worked in, if it was opened through this package. */
export function currentTransaction(): Transaction | undefined {
  if (!isInUse) return undefined;
  return first(storage.getStore(), ({ isCurrent }) => isCurrent);
}

/** Has some work take place in a transaction, or, with `undefined`, in none. */
export function withTransaction<T>(transaction: Transaction | undefined, work: () => T): T {
  if (transaction === undefined && storage.getStore() === undefined) return work();
  isInUse = true;
  return storage.run(transaction, work);
}

/** Has some work take place outside of whatever transaction is open. */
export function outsideTransactions<T>(work: () => Promise<T>): Promise<T> {
  const transaction = isInUse ? storage.getStore() : undefined;
  if (!transaction) return work();
  return transaction.outside(() => withTransaction(undefined, work));
}

/** Does some work in a part of a transaction, which can be rolled back on its own. */
export const apart = <T>(transaction: Transaction, work: () => T | PromiseLike<T>): Promise<T> =>
  transaction.parts.add(async (part) => withTransaction(part, work));

/** Runs with the same handle share what is known of it, as a handle is one connection. */
const unseen = new WeakMap<object, Transaction>();

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
