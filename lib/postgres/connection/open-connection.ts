import { type EngineHost, loadPeer } from '../../engine/index.js';
import type { Connection } from './connection.js';
import { lockFolder } from './folder-lock.js';
import type { CompleteOptions } from '../options.js';
import { PGliteConnection } from './pglite-connection.js';
import { ServerConnection } from './server-connection.js';

/** The packages that the engine needs beside that of the database. */
const BOSS = ['pg-boss', '@opentelemetry/api'];

const CONNECT_TIMEOUT_MS = 5_000;

/** Opens the database that the options name. Loads only the package that this takes. */
export async function openConnection(options: CompleteOptions, host: EngineHost): Promise<Connection> {
  const { connectionString, pool, folder, pglite, connections } = options;
  if (pool) return new ServerConnection(pool, host);
  if (pglite) return new PGliteConnection(pglite);
  if (connectionString !== undefined) {
    const { default: pg } = await loadPeer('pg', () => import('pg'), BOSS);
    const own = new pg.Pool({
      connectionString,
      max: connections,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      application_name: 'nestjs-callbacks',
      // An application that fails to start calls no hook. What is idle must not keep its process; listening does.
      allowExitOnIdle: true,
    });
    return new ServerConnection(own, host, () => own.end());
  }
  return openFolder(folder!, host);
}

async function openFolder(folder: string, host: EngineHost): Promise<Connection> {
  const { PGlite } = await loadPeer('@electric-sql/pglite', () => import('@electric-sql/pglite'), BOSS);
  const unlock = await lockFolder(folder);
  try {
    const database = await PGlite.create(folder);
    host.log(
      `Deliveries are kept in ${folder}, in an embedded database: for this one process, and not safe against power loss. ` +
        'For more than that use a Postgres server.',
    );
    return new PGliteConnection(database, async () => {
      await database.close();
      unlock();
    });
  } catch (error) {
    unlock();
    throw error;
  }
}
