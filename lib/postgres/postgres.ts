import type { EngineFactory } from '../engine/index.js';
import { completeOptions, type PostgresOptions } from './options.js';
import { PostgresEngine } from './postgres-engine.js';

/**
 * An engine on a Postgres server, or on PGlite, which is Postgres in a folder and needs none. It is pg-boss: install
 * `pg-boss`, and `pg` or `@electric-sql/pglite`.
 *
 * @example
 * EventsModule.forRoot({ engine: postgres({ connectionString: process.env.DATABASE_URL, folder: '.data/events' }) })
 */
export function postgres(options: PostgresOptions): EngineFactory {
  return () => new PostgresEngine(completeOptions(options));
}
