import { randomUUID } from 'node:crypto';
import {
  type SqlTransaction,
  TransactionRefusedError,
  UnknownOutcomeError,
  NoAnswerError,
  within,
} from '../engine/index.js';
import type { Connection } from './connection/connection.js';

/** A setting that is forgotten when the transaction ends. What is no transaction has forgotten it at the next statement. */
const MARK = 'nestjs_callbacks.transaction';

/** Of the statements that store: whether they are sent by the transaction that was marked with `$3`, or by none with ''. */
export const isMarked = `coalesce(current_setting('${MARK}', true), '') = $3::text`;

/** Which database this is: no two servers have one, nor two databases of a server. */
const SERVER = `(select system_identifier from pg_control_system())`;
const DATABASE = `(select oid from pg_database where datname = current_database())::text`;
/** An embedded one may be a copy of another: it is told by when it was opened. */
const IDENTITIES = {
  embedded: [`pg_postmaster_start_time()::text`],
  server: [`${SERVER} || '/' || ${DATABASE}`, DATABASE],
};

/** Makes sure of somebody's transaction before something is stored by it: it must be open, and of the engine's database. */
export class JoinedTransactions {
  /** One for all: runs in a transaction may mark it at the same time. */
  private readonly mark = randomUUID();

  private constructor(
    private readonly identity: string,
    private readonly own: string,
    private readonly timeoutMs: number,
  ) {}

  static async on(connection: Connection, timeoutMs: number): Promise<JoinedTransactions> {
    const [identity, ifRefused] = connection.isEmbedded ? IDENTITIES.embedded : IDENTITIES.server;
    const tell = async (expression: string) => {
      const { rows } = await connection.query(`select ${expression} as database`);
      return new JoinedTransactions(expression, (rows[0] as { database: string }).database, timeoutMs);
    };
    return tell(identity).catch((error: unknown) => {
      if (!ifRefused) throw error;
      return tell(ifRefused);
    });
  }

  /**
   * @returns the mark that the next statement must find
   * @throws TransactionRefusedError
   */
  async join(transaction: SqlTransaction): Promise<string> {
    const sql = `select ${this.identity} as database, set_config('${MARK}', $1, true) as mark`;
    const { rows } = await this.query(transaction, sql, [this.mark]);
    if ((rows[0] as { database?: unknown } | undefined)?.database !== this.own)
      throw new TransactionRefusedError('foreign');
    return this.mark;
  }

  /** One statement by somebody's transaction, which may have no timeout of its own. */
  async query(transaction: SqlTransaction, sql: string, params: unknown[]): Promise<{ rows: unknown[] }> {
    try {
      return await within(this.timeoutMs, transaction.query(sql, params));
    } catch (error) {
      throw error instanceof NoAnswerError ? new UnknownOutcomeError(error.message, { cause: error }) : error;
    }
  }
}
