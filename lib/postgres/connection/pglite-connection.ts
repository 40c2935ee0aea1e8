import { AsyncResource } from 'node:async_hooks';
import { within } from '../../engine/index.js';
import { type Connection, NotSentError, type QueryResult } from './connection.js';
import { OWN_PARSERS } from './own-parsers.js';
import type { PGliteDatabase } from './pglite-database.js';
import { PGliteTransactions } from './pglite-transactions.js';

const READING = { parsers: OWN_PARSERS };

/**
 * Reaches PGlite, which has one session: a statement waits until no transaction is open.
 *
 * Code within a transaction that awaits a statement beside it would wait for itself for ever. Until it is closed, this
 * has {@link PGliteTransactions} replace the database's `transaction()`, and refuses such a statement.
 */
export class PGliteConnection implements Connection {
  readonly isEmbedded = true;
  readonly isExclusive: boolean;
  private readonly transactions: PGliteTransactions;

  /** @param end closes the database, if the engine has opened it and holds its lock */
  constructor(
    private readonly database: PGliteDatabase,
    private readonly end?: () => Promise<void>,
  ) {
    this.isExclusive = end !== undefined;
    this.transactions = PGliteTransactions.of(database);
    this.transactions.watchFor(this);
  }

  requireSession(): void {
    if (!this.transactions.isOpenHere) return;
    throw new NotSentError(
      'a transaction of PGlite is open here, and it has the only session that there is. Open it by inTransaction(), or ' +
        'pass it by with({ tx }), and a run is stored in it; do anything else after it.',
    );
  }

  async query(sql: string, params?: unknown[], timeoutMs?: number): Promise<QueryResult> {
    this.requireSession();
    return within(timeoutMs, this.run(sql, params));
  }

  async listen(channel: string, onNotification: (payload: string) => void, onGap: () => void) {
    // PGlite notifies while the notifying transaction still ends. What follows must not count as within it.
    const unlisten = await this.database.listen(channel, AsyncResource.bind(onNotification));
    onGap();
    return () => unlisten();
  }

  async close(): Promise<void> {
    this.transactions.unwatchFor(this);
    await this.end?.();
  }

  private async run(sql: string, params?: unknown[]): Promise<QueryResult> {
    if (params?.length) return this.database.query(sql, params, READING);
    try {
      // Only exec() takes several statements at once.
      const results = await this.database.exec(sql, READING);
      return { rows: results.flatMap(({ rows }) => rows) };
    } catch (error) {
      // A pool would hand out another connection. Here there is only this one, and nobody else would end its transaction.
      if (/^\s*begin\b/i.test(sql)) await this.database.exec('rollback');
      throw error;
    }
  }
}
