import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Injectable, Logger, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { lockFolder } from './folder-lock.js';

interface Sql {
  query(text: string, params?: unknown[]): Promise<{ rows: unknown[] }>;
  close(): Promise<void>;
}

/** PostgreSQL: a server when DATABASE_URL names one, else PGlite, embedded in this process, in a folder. */
@Injectable()
export class Database implements OnModuleInit, OnModuleDestroy {
  private readonly logger = new Logger('Database');
  private sql!: Sql;

  async onModuleInit(): Promise<void> {
    this.sql = process.env.DATABASE_URL ? this.connect(process.env.DATABASE_URL) : await this.open();
    // Several instances may start at once, and "if not exists" alone is no protection against that.
    await this.sql.query(`
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
  }

  async onModuleDestroy(): Promise<void> {
    await this.sql?.close();
  }

  async query<Row>(text: string, params: unknown[]): Promise<Row[]> {
    return (await this.sql.query(text, params)).rows as Row[];
  }

  private connect(connectionString: string): Sql {
    const pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 5_000, query_timeout: 10_000 });
    pool.on('error', (error) => this.logger.error(`An idle connection broke: ${error.message}`, error.stack));
    this.logger.log('Rows go to the server that DATABASE_URL names');
    return { query: (text, params) => pool.query(text, params), close: () => pool.end() };
  }

  private async open(): Promise<Sql> {
    const folder = resolve(process.env.DATA_FOLDER ?? '.data', 'database');
    mkdirSync(folder, { recursive: true });
    const unlock = lockFolder(join(folder, '..'));
    this.logger.log(`Rows go to ${folder}, which takes some seconds at first (set DATABASE_URL for a Postgres server)`);
    const database = await PGlite.create(folder);
    return {
      query: (text, params) => database.query(text, params),
      close: async () => {
        await database.close();
        unlock();
      },
    };
  }
}
