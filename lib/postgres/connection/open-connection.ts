import { atMost, type EngineHost, loadPeer, messageOf } from '../../engine/index.js';
import type { Connection } from './connection.js';
import { lockFolder } from './folder-lock.js';
import type { CompleteOptions } from '../options.js';
import { PGliteConnection } from './pglite-connection.js';
import { ServerConnection } from './server-connection.js';

/** The packages that the engine needs beside that of the database. */
const BOSS = ['pg-boss', '@opentelemetry/api'];

const CONNECT_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 2_000;

/** Opens the database that the options name. Loads only the package that this takes. */
export async function openConnection(options: CompleteOptions, host: EngineHost): Promise<Connection> {
  const { connectionString, pool, folder, pglite, connections } = options;
  if (pool) return new ServerConnection(pool, host);
  if (pglite) {
    if (isInMemory(pglite)) {
      tellOfPlace(
        host,
        'Deliveries are kept in memory, in the PGlite that postgres() was given: they are gone when this process ends. ' +
          'Open it with a folder, or use a Postgres server.',
      );
    }
    return new PGliteConnection(pglite);
  }
  if (connectionString !== undefined) {
    const { default: pg } = await importPg();
    const own = new pg.Pool({
      connectionString,
      max: connections,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      application_name: 'nestjs-callbacks',
    });
    return new ServerConnection(own, host, () => own.end());
  }
  return openFolder(folder!, host);
}

/** A PGlite that has no folder, or says that it is in memory. */
const isInMemory = ({ dataDir }: { readonly dataDir?: string }) => !dataDir || dataDir.startsWith('memory://');

const isProduction = () => process.env.NODE_ENV === 'production';

/** A variable that is not set must not keep the deliveries of a container in the container: so production is warned. */
const tellOfPlace = (host: EngineHost, message: string) => (isProduction() ? host.warn(message) : host.log(message));

async function openFolder(folder: string, host: EngineHost): Promise<Connection> {
  const { PGlite } = await importPGlite();
  const unlock = await lockFolder(folder);
  try {
    const database = await PGlite.create(folder).catch(refuseBundled);
    tellOfPlace(
      host,
      `Deliveries are kept in ${folder}, in an embedded database: for this one process, and not safe against power loss. ` +
        `For more than that use a Postgres server.${isProduction() ? ' No connectionString was given.' : ''}`,
    );
    // A database that does not close any more must not keep its folder.
    return new PGliteConnection(database, async () => {
      await atMost(CLOSE_TIMEOUT_MS, database.close());
      unlock();
    });
  } catch (error) {
    unlock();
    throw error;
  }
}

// A bundler lets a package be absent whose import stands in a try.
const importPg = () =>
  loadPeer(
    'pg',
    async () => {
      try {
        return await import('pg');
      } catch (error) {
        throw error as Error;
      }
    },
    BOSS,
  );

const importPGlite = () =>
  loadPeer(
    '@electric-sql/pglite',
    async () => {
      try {
        return await import('@electric-sql/pglite');
      } catch (error) {
        return refuseBundled(error);
      }
    },
    BOSS,
  );

/** Says what is wrong when a bundler has moved PGlite away from its files. Other errors are thrown as they are. */
function refuseBundled(error: unknown): never {
  const lacksFile = /ENOENT.*(?:pglite|initdb)\.(?:data|wasm)/.test(messageOf(error));
  if (!lacksFile && !(error instanceof TypeError) && !(error instanceof ReferenceError)) throw error;
  throw new Error(
    `PGlite cannot start (${messageOf(error)}): it reads files that lie beside it, and they are not there. If a bundler has ` +
      'packed this application, keep @electric-sql/pglite external.',
    { cause: error },
  );
}
