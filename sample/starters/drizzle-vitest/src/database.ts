import { PGlite } from '@electric-sql/pglite';
import { pgTable, text } from 'drizzle-orm/pg-core';
import { drizzle } from 'drizzle-orm/pglite';
import { lockFolder } from 'nestjs-callbacks/postgres';

export const users = pgTable('users', { email: text().primaryKey(), name: text().notNull() });

// Postgres in this process: in a folder, which one process at a time may open; or in memory, for specs.
const folder = process.env.DATA_FOLDER;
if (folder) await lockFolder(folder);
export const pglite = await PGlite.create(folder);
await pglite.exec('create table if not exists users (email text primary key, name text not null)');

export const db = drizzle({ client: pglite });
export type Transaction = Parameters<Parameters<typeof db.transaction>[0]>[0];
