import type { EngineFactory } from '../engine/index.js';
import { completeOptions, type PostgresOptions } from './options.js';
import { PostgresEngine } from './postgres-engine.js';

/**
 * Keeps durable deliveries on a Postgres server, or in PGlite, which is Postgres in a folder and needs no server. The
 * engine is pg-boss: install `pg-boss`, and `pg` or `@electric-sql/pglite`.
 *
 * @example
 * EventsModule.forRoot({ engine: postgres({ connectionString: process.env.DATABASE_URL, folder: '.data/events' }) })
 */
export function postgres(options: PostgresOptions): EngineFactory {
  return () => new PostgresEngine(completeOptions(options));
}
