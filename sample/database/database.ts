import { resolve } from 'node:path';
import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import { PGlite } from '@electric-sql/pglite';
import { lockFolder } from 'nestjs-callbacks/postgres';
import pg from 'pg';

/** PostgreSQL: a server when DATABASE_URL names one, else PGlite, embedded in this process, in a folder. */
export abstract class Database implements OnApplicationShutdown {
  protected static readonly logger = new Logger('Database');

  static async open(): Promise<Database> {
    const database = process.env.DATABASE_URL ? new Server(process.env.DATABASE_URL) : await Folder.open();
    // Several instances may start at once, and "if not exists" alone is no protection against that.
    await database.query(`
      do $$ begin
        perform pg_advisory_xact_lock(7239104);
        create table if not exists users (
          id bigint generated always as identity primary key,
          name text not null,
          email text not null,
          joined_at timestamptz not null default now()
        );
        create unique index if not exists users_email on users (lower(email));
      end $$`);
    return database;
  }

  /** Where the deliveries of durable callbacks are kept, too. */
  abstract readonly forEvents: { pool: pg.Pool } | { pglite: PGlite };

  abstract query<Row>(text: string, params?: unknown[]): Promise<Row[]>;

  protected abstract close(): Promise<void>;

  /** Not in onModuleDestroy: the last requests need it still. */
  async onApplicationShutdown(): Promise<void> {
    await this.close();
  }
}

class Server extends Database {
  private readonly pool: pg.Pool;

  constructor(connectionString: string) {
    super();
    this.pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 5_000, query_timeout: 10_000 });
    this.pool.on('error', ({ message, stack }) => Database.logger.error(`An idle connection broke: ${message}`, stack));
    Database.logger.log('Rows go to the server that DATABASE_URL names');
  }

  get forEvents() {
    return { pool: this.pool };
  }

  async query<Row>(text: string, params: unknown[] = []): Promise<Row[]> {
    return (await this.pool.query(text, params)).rows as Row[];
  }

  protected close(): Promise<void> {
    return this.pool.end();
  }
}

class Folder extends Database {
  static override async open(): Promise<Folder> {
    const folder = resolve(process.env.DATA_FOLDER ?? '.data', 'database');
    const unlock = await lockFolder(folder);
    Database.logger.log(
      `Rows go to ${folder}, which takes some seconds at first (set DATABASE_URL for a Postgres server)`,
    );
    return new Folder(await PGlite.create(folder), unlock);
  }

  private constructor(
    private readonly pglite: PGlite,
    private readonly unlock: () => void,
  ) {
    super();
  }

  get forEvents() {
    return { pglite: this.pglite };
  }

  async query<Row>(text: string, params: unknown[] = []): Promise<Row[]> {
    return (await this.pglite.query<Row>(text, params)).rows;
  }

  protected async close(): Promise<void> {
    await this.pglite.close();
    this.unlock();
  }
}
