import type { PGlite } from '@electric-sql/pglite';
import type { NodePgDatabase } from 'drizzle-orm/node-postgres';
import type { EventRunner, TransactionHandle } from 'nestjs-callbacks';
import pg from 'pg';

// Each imports its library when it is opened: most programs want one of them, and all together take seconds.

/** A data layer that has connected: what its users do with it. */
export interface OpenLayer<Tx extends object = any> {
  /** What there is besides a transaction, which users pass by mistake. */
  readonly root: object;
  /** Its own way to run something in a transaction. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** The same within one, if it has that. */
  nested?<T>(tx: Tx, work: (tx: Tx) => Promise<T>): Promise<T>;
  /** It sends nothing by a transaction while one within that is open. */
  readonly isHeldByNested?: boolean;
  query(tx: Tx, text: string): Promise<unknown>;
  /** What the README tells to do. */
  recipe(events: EventRunner): { signUp(name: string, email: string): Promise<void> };
  close(): Promise<unknown>;
}

export interface Layer {
  readonly name: string;
  open(connectionString: string): Promise<OpenLayer<any>>;
}

type DrizzleTx = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0];

async function onDrizzle(db: NodePgDatabase, close: () => Promise<unknown>): Promise<OpenLayer<DrizzleTx>> {
  const { sql } = await import('drizzle-orm');
  const { SignUpWithDrizzle } = await import('../recipes/drizzle.js');
  return {
    root: db,
    transaction: (work) => db.transaction(work),
    nested: (tx, work) => tx.transaction(work),
    query: async (tx, text) => tx.execute(sql.raw(text)),
    recipe: (events) => new SignUpWithDrizzle(db, events),
    close,
  };
}

export const LAYERS: readonly Layer[] = [
  {
    name: 'pg',
    async open(connectionString): Promise<OpenLayer<pg.PoolClient & TransactionHandle>> {
      const { SignUpWithPg } = await import('../recipes/pg.js');
      const pool = new pg.Pool({ connectionString });
      return {
        root: pool,
        async transaction(work) {
          const client = await pool.connect();
          try {
            await client.query('begin');
            const result = await work(client);
            await client.query('commit');
            return result;
          } catch (error) {
            await client.query('rollback');
            throw error;
          } finally {
            client.release();
          }
        },
        async nested(client, work) {
          await client.query('savepoint inner_one');
          try {
            return await work(client);
          } catch (error) {
            await client.query('rollback to savepoint inner_one');
            throw error;
          }
        },
        query: (client, text) => client.query(text),
        recipe: (events) => new SignUpWithPg(pool, events),
        close: () => pool.end(),
      };
    },
  },
  {
    name: 'TypeORM',
    async open(url): Promise<OpenLayer<import('typeorm').EntityManager>> {
      const { DataSource } = await import('typeorm');
      const { SignUpWithTypeOrm } = await import('../recipes/typeorm.js');
      const dataSource = await new DataSource({ type: 'postgres', url }).initialize();
      return {
        root: dataSource.manager,
        transaction: (work) => dataSource.transaction(work),
        nested: (manager, work) => manager.transaction(work),
        query: (manager, text) => manager.query(text),
        recipe: (events) => new SignUpWithTypeOrm(dataSource, events),
        close: () => dataSource.destroy(),
      };
    },
  },
  {
    name: 'Drizzle',
    async open(connectionString) {
      const { drizzle } = await import('drizzle-orm/node-postgres');
      const pool = new pg.Pool({ connectionString });
      return onDrizzle(drizzle(pool), () => pool.end());
    },
  },
  {
    name: 'Knex',
    async open(connection): Promise<OpenLayer<import('knex').Knex.Transaction>> {
      const { default: knexOn } = await import('knex');
      const { SignUpWithKnex } = await import('../recipes/knex.js');
      const knex = knexOn({ client: 'pg', connection });
      return {
        root: knex,
        transaction: (work) => knex.transaction(work),
        nested: (trx, work) => trx.transaction(work),
        isHeldByNested: true,
        query: async (trx, text) => trx.raw(text),
        recipe: (events) => new SignUpWithKnex(knex, events),
        close: () => knex.destroy(),
      };
    },
  },
  {
    name: 'Kysely',
    async open(connectionString): Promise<OpenLayer<import('kysely').Transaction<any>>> {
      const { CompiledQuery, Kysely, PostgresDialect } = await import('kysely');
      const { SignUpWithKysely } = await import('../recipes/kysely.js');
      const db = new Kysely<any>({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString }) }) });
      return {
        root: db,
        transaction: (work) => db.transaction().execute(work),
        query: (trx, text) => trx.executeQuery(CompiledQuery.raw(text)),
        recipe: (events) => new SignUpWithKysely(db, events),
        close: () => db.destroy(),
      };
    },
  },
  {
    name: 'Prisma',
    async open(connectionString): Promise<OpenLayer<any>> {
      const { PrismaPg } = await import('@prisma/adapter-pg');
      const { PrismaClient } = await import('../generated/prisma/client.js');
      const { SignUpWithPrisma } = await import('../recipes/prisma.js');
      const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString }) });
      return {
        root: prisma,
        transaction: (work) => prisma.$transaction((tx) => work(tx)),
        nested: (tx, work) => tx.$transaction(work),
        query: (tx, text) => tx.$executeRawUnsafe(text),
        recipe: (events) => new SignUpWithPrisma(prisma, events),
        close: () => prisma.$disconnect(),
      };
    },
  },
  {
    name: 'MikroORM',
    async open(clientUrl): Promise<OpenLayer<import('@mikro-orm/postgresql').EntityManager>> {
      const { MikroORM } = await import('@mikro-orm/postgresql');
      const { SignUpWithMikroOrm, User } = await import('../recipes/mikro-orm.js');
      const orm = await MikroORM.init({ clientUrl, entities: [User] });
      return {
        root: orm.em,
        transaction: (work) => orm.em.fork().transactional(work),
        nested: (em, work) => em.transactional(work),
        query: (em, text) => em.execute(text),
        recipe: (events) => new SignUpWithMikroOrm(orm.em, events),
        close: () => orm.close(),
      };
    },
  },
];

/** A data layer on an embedded database, which the engine is given, too. */
export interface EmbeddedLayer {
  readonly name: string;
  open(pglite: PGlite): Promise<OpenLayer<any>>;
}

/** Those whose transactions are PGlite's own. */
export const EMBEDDED_LAYERS: readonly EmbeddedLayer[] = [
  {
    name: 'PGlite',
    async open(pglite): Promise<OpenLayer<import('@electric-sql/pglite').Transaction>> {
      const { SignUpWithPGlite } = await import('../recipes/pglite.js');
      return {
        root: pglite,
        transaction: (work) => pglite.transaction(work),
        query: (tx, text) => tx.query(text),
        recipe: (events) => new SignUpWithPGlite(pglite, events),
        close: () => pglite.close(),
      };
    },
  },
  {
    name: 'Drizzle',
    async open(pglite) {
      const { drizzle } = await import('drizzle-orm/pglite');
      return onDrizzle(drizzle(pglite) as never, () => pglite.close());
    },
  },
];
