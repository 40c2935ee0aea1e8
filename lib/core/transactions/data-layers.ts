import type { SqlTransaction } from '../engine/sql-transaction.js';
import { TransactionRefusedError } from '../engine/refusals.js';
import { show } from '../errors/describe.js';
import { withInvalid } from '../errors/run-errors.js';
import { ABORTED } from './sql-state.js';
import type {
  DrizzleTransaction,
  KnexTransaction,
  KyselyTransaction,
  MikroOrmManager,
  PrismaTransaction,
  TypeOrmManager,
} from './transaction-handle.js';

/** A handle, as its data layer is read. */
export interface HandleReading {
  /** Its name in messages: `a transaction of Knex`. */
  readonly kind: string;
  /** The object by which its transaction is told from others. Two handles of one transaction have the same. */
  readonly identity: object;
  /** Whether the handle belongs to a connection, and may stand for another transaction later. */
  readonly isReused?: boolean;
  /** A sentence on what to pass instead, if the handle is no open transaction. */
  readonly refusal?: string;
  /** Sends SQL in the transaction. Present when that is SQL of Postgres. */
  readonly sql?: SqlTransaction;
  /** Whether the data layer says that it has ended. */
  readonly isOver?: () => boolean;
  /** Writes what the data layer has not written yet. */
  readonly flush?: () => Promise<void>;
  /** Nests a transaction in it in the data layer's own way. Absent where that is no more than a savepoint. */
  readonly nest?: Nest;
}

/** Does some work in a nested transaction. */
export type Nest = <T>(work: (handle: object) => Promise<T>) => Promise<T>;

type Subject = Record<PropertyKey, any>;

/** One data layer: how to tell its handles, and how to read them. */
interface DataLayer {
  isOf(handle: Subject): boolean;
  read(handle: any): Omit<HandleReading, 'identity'> & Partial<Pick<HandleReading, 'identity'>>;
}

const ENTITY_KIND = Symbol.for('drizzle:entityKind');

/** Whether a driver or dialect of this name is one of another database than Postgres. */
const isAnother = (name = '') =>
  /mysql|maria|sqlite|mssql|sqlserver|libsql|oracle|mongo|singlestore|spanner|sap/i.test(name);

const isFunction = (value: unknown) => typeof value === 'function';

const rowsOf = (result: { rows?: unknown[] } | unknown[]) => (Array.isArray(result) ? result : (result.rows ?? []));

/** The members of a Kysely transaction that is begun and committed by hand, and the way to the database of any. */
interface ControlledTransaction {
  readonly isCommitted?: boolean;
  readonly isRolledBack?: boolean;
  getExecutor?(): { adapter: { constructor: { name: string } } };
}

/** A query as Kysely compiles it. */
const compiled = (sql: string, params: unknown[]) => ({
  sql,
  parameters: params,
  query: { kind: 'RawNode', sqlFragments: [sql], parameters: [] },
  queryId: { queryId: 'nestjs-callbacks' },
});

// Each comes before those that it also looks like. Most have a `query`, so that this is the last thing to go by.
const DATA_LAYERS: readonly DataLayer[] = [
  {
    isOf: (handle) => isFunction(handle.getTransactionContext) && isFunction(handle.transactional),
    read(handle: MikroOrmManager & { getDriver?(): { constructor: { name: string } } }) {
      const kind = "MikroORM's EntityManager";
      if (!handle.getTransactionContext()) {
        return { kind: `${kind}, outside a transaction`, refusal: 'Pass the one that em.transactional() hands you.' };
      }
      // Several managers may share it, and one manager may stand for the current one of each request.
      const identity = handle.getTransactionContext() as object;
      if (isAnother(handle.getDriver?.().constructor.name)) return { kind, identity };
      return {
        kind,
        identity,
        // A transaction of Kysely, or with MikroORM 6 of Knex.
        sql: { query: (sql, params) => readHandle(identity).sql!.query(sql, params) },
        isOver: () => readHandle(identity).isOver?.() === true,
        flush: () => handle.flush(),
        // Changes that it has not written yet belong outside; and it must know of those that are written inside.
        async nest(work) {
          await handle.flush();
          return handle.transactional(work);
        },
      };
    },
  },
  {
    isOf: (handle) => isFunction(handle.executeQuery) && 'isTransaction' in handle,
    read(handle: KyselyTransaction & ControlledTransaction) {
      if (!handle.isTransaction) {
        return { kind: 'a Kysely without a transaction', refusal: 'Pass what transaction().execute() hands you.' };
      }
      const kind = 'a transaction of Kysely';
      if (isAnother(handle.getExecutor?.().adapter.constructor.name)) return { kind };
      return {
        kind,
        sql: { query: (sql, params) => handle.executeQuery(compiled(sql, params)) },
        isOver: () => handle.isCommitted === true || handle.isRolledBack === true,
      };
    },
  },
  {
    isOf: (handle) => isFunction(handle.raw) && isFunction(handle.transaction) && 'client' in handle,
    read(handle: KnexTransaction & { client: { dialect?: string } }) {
      if (!handle.isTransaction) {
        return { kind: 'a Knex without a transaction', refusal: 'Pass what knex.transaction() hands you.' };
      }
      const kind = 'a transaction of Knex';
      if (isAnother(handle.client.dialect)) return { kind };
      return {
        kind,
        sql: { query: (sql, params) => onKnex(handle, sql, params) },
        isOver: () => handle.isCompleted(),
      };
    },
  },
  {
    isOf: (handle) => ENTITY_KIND in (handle.constructor ?? {}),
    read(handle: DrizzleTransaction) {
      const name = String((handle.constructor as unknown as Subject)[ENTITY_KIND]);
      if (!isFunction(handle.rollback)) {
        return {
          kind: `${name} of Drizzle, which is no transaction`,
          refusal: 'Pass what db.transaction() hands you.',
        };
      }
      const kind = 'a transaction of Drizzle';
      if (isAnother(name)) return { kind };
      // A statement of Drizzle's own making is an object that says its text.
      const statement = (sql: string, params: unknown[]) => ({ getSQL: () => ({ toQuery: () => ({ sql, params }) }) });
      return {
        kind,
        sql: { query: async (sql, params) => ({ rows: rowsOf(await handle.execute(statement(sql, params))) }) },
      };
    },
  },
  {
    isOf: (handle) => isFunction(handle.$queryRawUnsafe),
    read(handle: PrismaTransaction & { $connect?: unknown; _activeProvider?: string }) {
      if (isFunction(handle.$connect)) {
        return { kind: 'a PrismaClient', refusal: 'Pass what prisma.$transaction() hands you.' };
      }
      const kind = 'a transaction of Prisma';
      if (isAnother(handle._activeProvider)) return { kind };
      return { kind, sql: { query: (sql, params) => onPrisma(handle, sql, params) } };
    },
  },
  {
    isOf: (handle) => isFunction(handle.getRepository) || 'isTransactionActive' in handle,
    read(handle: TypeOrmManager) {
      const queryRunner = handle.queryRunner ?? (handle as unknown as TypeOrmManager['queryRunner']);
      if (!queryRunner?.isTransactionActive) {
        const kind = `TypeORM's ${handle.constructor.name}, outside a transaction`;
        return { kind, refusal: 'Pass the EntityManager that transaction() hands you.' };
      }
      const kind = "TypeORM's EntityManager";
      if (isAnother(handle.connection.options.type)) return { kind };
      return {
        kind,
        sql: { query: async (sql, params) => ({ rows: (await queryRunner.query(sql, params, true)).records }) },
        isOver: () => !queryRunner.isTransactionActive,
        isReused: true,
      };
    },
  },
  {
    isOf: (handle) => isFunction(handle.query),
    read(handle: SqlTransaction & Subject) {
      if (isFunction(handle.connect) && 'totalCount' in handle) {
        const refusal =
          'Each of its queries may go to another connection: pass the client on which you have sent "begin".';
        return { kind: 'a Pool', refusal };
      }
      if (isFunction(handle.transaction)) {
        return { kind: 'a PGlite', refusal: 'Pass what its transaction() hands you.' };
      }
      return {
        kind: 'a client',
        sql: { query: async (sql, params) => ({ rows: rowsOf(await handle.query(sql, params)) }) },
        isOver: () => handle.closed === true,
        isReused: !('closed' in handle),
      };
    },
  },
];

/** Rewrites the statement for Knex, which numbers its parameters itself, by question marks. */
async function onKnex(handle: KnexTransaction, sql: string, params: unknown[]): Promise<{ rows: unknown[] }> {
  const used: unknown[] = [];
  const text = sql.replaceAll('?', '\\?').replace(/\$(\d+)/g, (_, number: string) => {
    used.push(params[Number(number) - 1]);
    return '?';
  });
  return { rows: rowsOf(await handle.raw(text, used)) };
}

/**
 * Reads Prisma's answers: it tells by an error of its own that the transaction has ended. If one of several statements fails
 * that it sends together, it has the others resolve to nothing.
 */
async function onPrisma(handle: PrismaTransaction, sql: string, params: unknown[]): Promise<{ rows: unknown[] }> {
  const rows: unknown[] | undefined = await handle.$queryRawUnsafe(sql, ...params).then(undefined, (error: unknown) => {
    throw (error as { code?: unknown }).code === 'P2028'
      ? new TransactionRefusedError('over', { cause: error })
      : error;
  });
  if (rows) return { rows };
  throw Object.assign(new Error('a statement that Prisma has sent at the same time failed'), { code: ABORTED });
}

/** Reads a handle. An object that no data layer knows is a transaction too, for an engine that does without SQL. */
export function readHandle(handle: object): HandleReading {
  const layer = DATA_LAYERS.find(({ isOf }) => isOf(handle as Subject));
  const reading = layer?.read(handle) ?? { kind: withArticle((handle as Subject).constructor?.name ?? 'transaction') };
  return { identity: handle, ...reading };
}

/**
 * Reads a handle that was passed as a transaction, and refuses anything else.
 *
 * @param where it was passed
 * @throws EVENTS_WITH_INVALID
 */
export function requireHandle(handle: unknown, where: string): HandleReading {
  if ((typeof handle !== 'object' && typeof handle !== 'function') || handle === null) {
    throw withInvalid(show(handle), 'Pass the open transaction itself.', where);
  }
  const reading = readHandle(handle);
  if (reading.refusal) throw withInvalid(reading.kind, reading.refusal, where);
  return reading;
}

const withArticle = (name: string) => `${/^[aeio]/i.test(name) ? 'an' : 'a'} ${name}`;
