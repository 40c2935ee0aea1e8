// The engine that an instance uses, as the environment says, and its way to write effects in a transaction.
import pg from 'pg';
import { importEntry } from './package.mjs';

const [{ lockFolder, postgres }, { redis }] = await Promise.all([importEntry('postgres'), importEntry('redis')]);

/** What `Limited` declares, where the build knows of limits; an audit looks whether it was kept. */
const LIMITS = JSON.parse(process.env.LIMITS || 'null');

/** With the events that suit it. */
export async function openEngine() {
  const { DATABASE_URL, REDIS_URL, FOLDER } = process.env;
  const newer = process.env.NEWER ? ['newer'] : [];
  const limits = process.env.PACKAGE ? undefined : LIMITS;
  if (REDIS_URL) return { engine: redis({ url: REDIS_URL }), events: ['mixed', ...newer], limits };
  const opened = await (DATABASE_URL ? onServer(DATABASE_URL) : inFolder(FOLDER));
  return { ...opened, events: ['mixed', 'ordered', 'exact', ...newer], limits };
}

async function onServer(connectionString) {
  const pool = new pg.Pool({ connectionString, max: 5, connectionTimeoutMillis: 5_000, query_timeout: 5_000 });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return {
    engine: postgres({ connectionString }),
    async effects(work) {
      const client = await pool.connect();
      const ignore = () => {};
      client.on('error', ignore);
      let failure;
      try {
        await client.query('begin');
        await work(client);
        await client.query('commit');
      } catch (error) {
        failure = error;
        await client.query('rollback').catch(() => {});
        throw error;
      } finally {
        client.off('error', ignore);
        client.release(failure);
      }
    },
  };
}

/** The application's own PGlite, so that its effects and the deliveries are in one database; the lock is the engine's. */
async function inFolder(folder) {
  const { PGlite } = await import('@electric-sql/pglite');
  await lockFolder(folder);
  const pglite = await PGlite.create(folder);
  await pglite.exec('create table if not exists effects (id uuid)');
  return { engine: postgres({ pglite, leaseMs: 1_000 }), effects: (work) => pglite.transaction(work) };
}
