import type { SqlTransaction } from '../engine/sql-transaction.js';

/**
 * An open transaction, as its data layer hands it out: a client of node-postgres after `begin`, a transaction of PGlite,
 * Drizzle, Knex, Kysely or Prisma, an `EntityManager` of TypeORM or MikroORM. Of each only what is used here.
 */
export type TransactionHandle =
  | SqlTransaction
  | TypeOrmManager
  | DrizzleTransaction
  | KnexTransaction
  | KyselyTransaction
  | PrismaTransaction
  | MikroOrmManager;

export interface TypeOrmManager {
  readonly queryRunner?: {
    readonly isTransactionActive: boolean;
    query(sql: string, params?: any[], isStructured?: true): Promise<any>;
  };
  readonly connection: { readonly options: { readonly type: string } };
}

export interface DrizzleTransaction {
  execute(query: any): PromiseLike<any>;
  rollback(): never;
}

export interface KnexTransaction {
  readonly isTransaction?: boolean;
  isCompleted(): boolean;
  raw(sql: string, bindings: any): PromiseLike<any>;
}

export interface KyselyTransaction {
  readonly isTransaction: true;
  executeQuery(query: any): Promise<{ rows: any[] }>;
}

export interface PrismaTransaction {
  $queryRawUnsafe(sql: string, ...params: any[]): PromiseLike<any>;
}

export interface MikroOrmManager {
  flush(): Promise<void>;
  getTransactionContext(): any;
  transactional(work: (manager: any) => Promise<any>): Promise<any>;
}
