import type { Clock, PgBoss } from 'pg-boss';
import { type EngineHost, timers } from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import { importBoss } from './import-boss.js';
import type { CompleteOptions } from './options.js';

/** pg-boss looks every two seconds what its own workers do. Here it has none, and each look wakes a process that is idle. */
const SHORTEST_INTERVAL_MS = 60_000;
const { clearInterval, clearTimeout, setInterval, setTimeout } = timers;
const clock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
  setInterval: (callback, ms) => setInterval(callback, Math.max(ms, SHORTEST_INTERVAL_MS)),
  clearInterval: (handle) => clearInterval(handle as NodeJS.Timeout),
};

/** The version of pg-boss' schema on which our statements were tried, as its package.json tells it. */
const TRIED_VERSION = 46;

const HOUSEKEEPING = {
  // pg-boss takes back claims, too. It does so later than we do, and knows nothing of those that are still ours, so it
  // is to do so as rarely as it can.
  monitorIntervalSeconds: 86_400,
  // Deliveries depend on no others. Its own user's instances look after theirs.
  flowIntervalSeconds: 86_400,
  queueCacheIntervalSeconds: 3_600,
  // Completed deliveries are removed within the hour.
  superviseIntervalSeconds: 600,
  maintenanceIntervalSeconds: 3_000,
};

/**
 * Starts pg-boss on a connection. It makes and keeps up its schema, creates queues, claims jobs and removes completed ones.
 */
export async function startBoss(
  connection: Connection,
  { schema, migrate }: CompleteOptions,
  host: EngineHost,
): Promise<PgBoss> {
  const { PgBoss } = await importBoss();
  const boss = new PgBoss({
    db: { executeSql: (sql, params) => connection.query(sql, params) },
    backend: connection.isEmbedded ? 'pglite' : 'postgres',
    schema,
    clock,
    migrate,
    createSchema: migrate,
    reindex: migrate,
    // These are the application's business, not the deliveries'.
    schedule: false,
    registerInstance: false,
    openTelemetry: { enabled: false },
    ...HOUSEKEEPING,
  });
  boss.on('error', (error) => host.report('pg-boss failed at its housekeeping, which it tries again', error));
  boss.on('warning', ({ message }) => host.warn(message));
  try {
    await boss.start();
    const version = await boss.schemaVersion();
    if (version !== TRIED_VERSION) host.warn(untried(schema, version));
    return boss;
  } catch (error) {
    const plain = await explained(error as Error, schema, boss).catch(() => error);
    await boss.stop({ graceful: false, close: false });
    throw plain;
  }
}

/** Its own messages read as if a package were missing, and do not say which version is which. */
async function explained(error: Error, schema: string, boss: PgBoss): Promise<Error> {
  if (error.message.startsWith('pg-boss is not installed')) {
    const message = `the schema "${schema}" has no tables. Run what schemaSql() returns, or remove migrate: false.`;
    return new Error(message, { cause: error });
  }
  if (!error.message.startsWith('pg-boss database requires migrations')) return error;
  const version = await boss.schemaVersion();
  const message =
    `the tables of pg-boss in the schema "${schema}" are of version ${version}, and the pg-boss that is installed has another. ` +
    `If it is newer, run what its getMigrationPlans('${schema}', ${version}) returns, or remove migrate: false; if not, install the one that has made them.`;
  return new Error(message, { cause: error });
}

const untried = (schema: string, version: number | null) =>
  `The tables of pg-boss in the schema "${schema}" are of version ${version}. This version of nestjs-callbacks, whose own statements use them, ` +
  `was tried with version ${TRIED_VERSION} only. It goes on; see whether there is a newer one, which knows them.`;
