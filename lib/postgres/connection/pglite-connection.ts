import { within } from '../../engine/index.js';
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { type Connection, NotSentError, type QueryResult } from './connection.js';

/** The part of `PGlite` that is used. */
export interface PGliteDatabase {
  query(sql: string, params?: any[]): Promise<{ rows: any[] }>;
  exec(sql: string): Promise<{ rows: any[] }[]>;
  transaction(work: (transaction: any) => Promise<any>): Promise<any>;
  listen(channel: string, onNotification: (payload: string) => void): Promise<(...args: any[]) => Promise<void>>;
}

/** PGlite, which has one session: a statement waits until no transaction is open. */
export class PGliteConnection implements Connection {
  readonly isEmbedded = true;
  readonly isExclusive: boolean;
  private readonly transactions = new AsyncLocalStorage<{ isOpen: boolean }>();
  private readonly transaction: PGliteDatabase['transaction'];

  /** @param end the database, if the engine has opened it and holds its lock */
  constructor(
    private readonly database: PGliteDatabase,
    private readonly end?: () => Promise<void>,
  ) {
    this.isExclusive = end !== undefined;
    this.transaction = database.transaction;
    // Within a transaction, a statement beside it would wait for its end, and the transaction for the statement.
    database.transaction = (work) => {
      const state = { isOpen: true };
      const done = () => {
        state.isOpen = false;
      };
      return this.transactions.run(state, () => this.transaction.call(database, work).finally(done));
    };
  }

  requireSession(): void {
    if (!this.transactions.getStore()?.isOpen) return;
    throw new NotSentError(
      'a transaction of PGlite is open here, and it has the only session that there is. Do this after the transaction.',
    );
  }

  async query(sql: string, params?: unknown[], timeoutMs?: number): Promise<QueryResult> {
    this.requireSession();
    return within(timeoutMs, this.run(sql, params));
  }

  async listen(channel: string, onNotification: (payload: string) => void, onGap: () => void) {
    // Told while the transaction that notifies still ends: not in its context.
    const unlisten = await this.database.listen(channel, AsyncResource.bind(onNotification));
    onGap();
    return () => unlisten();
  }

  async close(): Promise<void> {
    this.database.transaction = this.transaction;
    await this.end?.();
  }

  private async run(sql: string, params?: unknown[]): Promise<QueryResult> {
    if (params?.length) return this.database.query(sql, params);
    try {
      // Only this takes several statements.
      const results = await this.database.exec(sql);
      return { rows: results.flatMap(({ rows }) => rows) };
    } catch (error) {
      // A pool would hand out another connection; here the one there is must be left as it was found.
      if (/^\s*begin\b/i.test(sql)) await this.database.exec('rollback');
      throw error;
    }
  }
}
