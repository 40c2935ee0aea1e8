import { randomUUID } from 'node:crypto';
import {
  type SqlTransaction,
  TransactionRefusedError,
  UnknownOutcomeError,
  NoAnswerError,
  within,
} from '../engine/index.js';
import type { Connection } from './connection/connection.js';

/** A setting that lasts as long as the transaction. Without a transaction, it is gone at the next statement. */
const MARK = 'nestjs_callbacks.transaction';

/** How a statement that a caller's own driver runs says yes: as text, for drivers may read other types in their own way. */
export type Yes = 'yes' | null;
export const saysYesIf = (condition: string) => `case when ${condition} then 'yes' end`;

/** The condition, in a statement, that the transaction marked with a parameter runs it. With '', that none does. */
export const isMarkedWith = (parameter: `$${number}`) =>
  `coalesce(current_setting('${MARK}', true), '') = ${parameter}::text`;

/** Tell which database this is. No two servers have the same identifier, and no two databases of one server. */
const SERVER = `(select system_identifier from pg_control_system())`;
const DATABASE = `(select oid from pg_database where datname = current_database())::text`;
/** An embedded database may be a copy of another, so the moment at which it was opened tells it apart. */
const IDENTITIES = {
  embedded: [`pg_postmaster_start_time()::text`],
  server: [`${SERVER} || '/' || ${DATABASE}`, DATABASE],
};

/** Stores and completes by a caller's transaction, after making sure that it is open, and is one of the engine's database. */
export class CallerTransactions {
  /** All runs use the same mark, because several runs may mark one transaction at the same time. */
  private readonly mark = randomUUID();
  /** Those that were marked once, and surely are of the engine's database. */
  private readonly joined = new WeakSet<SqlTransaction>();

  private constructor(
    private readonly identity: string,
    private readonly own: string,
    private readonly timeoutMs: number,
  ) {}

  static async on(connection: Connection, timeoutMs: number): Promise<CallerTransactions> {
    const [identity, ifRefused] = connection.isEmbedded ? IDENTITIES.embedded : IDENTITIES.server;
    const tell = async (expression: string) => {
      const { rows } = await connection.query(`select ${expression} as database`);
      return new CallerTransactions(expression, (rows[0] as { database: string }).database, timeoutMs);
    };
    return tell(identity).catch((error: unknown) => {
      if (!ifRefused) throw error;
      return tell(ifRefused);
    });
  }

  /**
   * Marks a transaction.
   *
   * @returns the mark that the next statement must find
   * @throws TransactionRefusedError
   */
  async join(transaction: SqlTransaction): Promise<string> {
    const sql = `select ${this.identity} as database, set_config('${MARK}', $1, true) as mark`;
    const { rows } = await this.query(transaction, sql, [this.mark]);
    if ((rows[0] as { database?: unknown } | undefined)?.database !== this.own)
      throw new TransactionRefusedError('foreign');
    this.joined.add(transaction);
    return this.mark;
  }

  /**
   * Runs a statement in a transaction, with the mark as its last parameter. It must do nothing where it does not find that, and
   * tell so by `isOpen` in its only row.
   *
   * @throws TransactionRefusedError
   */
  async queryMarked<Row>(transaction: SqlTransaction, sql: string, params: readonly unknown[]): Promise<Row> {
    const query = async () => {
      const { rows } = await this.query(transaction, sql, [...params, this.mark]);
      return rows[0] as (Row & { isOpen: Yes }) | undefined;
    };
    if (this.joined.has(transaction)) {
      const row = await query();
      if (row?.isOpen) return row;
      // It may be another one, by the same connection, or a savepoint was rolled back in which it was marked.
    }
    await this.join(transaction);
    const row = await query();
    if (!row?.isOpen) throw new TransactionRefusedError('over');
    return row;
  }

  /** Runs a statement by a caller's transaction. It has a limit of our own, as the transaction may have none. */
  async query(transaction: SqlTransaction, sql: string, params: unknown[]): Promise<{ rows: unknown[] }> {
    try {
      return await within(this.timeoutMs, transaction.query(sql, params));
    } catch (error) {
      throw error instanceof NoAnswerError ? new UnknownOutcomeError(error.message, { cause: error }) : error;
    }
  }
}
