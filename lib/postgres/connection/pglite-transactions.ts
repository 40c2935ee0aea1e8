import { AsyncLocalStorage } from 'node:async_hooks';
import type { PGliteDatabase } from './pglite-database.js';

/**
 * Tells whether the code that asks is within a transaction of a PGlite, for all engines that share it.
 *
 * PGlite does not say so itself. The application calls `transaction()` on its own object, so a wrapper around that object
 * would see nothing. Instead, the method of the object is replaced while any engine uses it. The last engine to close
 * puts the method back, in whichever order they close.
 */
export class PGliteTransactions {
  private static readonly known = new WeakMap<PGliteDatabase, PGliteTransactions>();

  private readonly context = new AsyncLocalStorage<{ isOpen: boolean }>();
  private readonly users = new Set<object>();
  private restore = () => {};

  private constructor(private readonly database: PGliteDatabase) {}

  /** One for each database, however many engines ask. */
  static of(database: PGliteDatabase): PGliteTransactions {
    const transactions = this.known.get(database) ?? new PGliteTransactions(database);
    this.known.set(database, transactions);
    return transactions;
  }

  get isOpenHere(): boolean {
    return this.context.getStore()?.isOpen === true;
  }

  /** Has `user` told from now on. */
  watchFor(user: object): void {
    if (this.users.size === 0) this.replace();
    this.users.add(user);
  }

  /** Puts the method back if nobody else watches. */
  unwatchFor(user: object): void {
    if (this.users.delete(user) && this.users.size === 0) this.restore();
  }

  private replace(): void {
    const { database } = this;
    const original = Object.getOwnPropertyDescriptor(database, 'transaction');
    const { transaction } = database;
    const watched: PGliteDatabase['transaction'] = (work) => {
      const state = { isOpen: true };
      const done = () => {
        state.isOpen = false;
      };
      return this.context.run(state, () => transaction.call(database, work).finally(done));
    };
    database.transaction = watched;
    this.restore = () => {
      // Somebody else has replaced it since, and may call ours, which goes on to work.
      if (database.transaction !== watched) return;
      if (original) Object.defineProperty(database, 'transaction', original);
      else Reflect.deleteProperty(database, 'transaction');
    };
  }
}
