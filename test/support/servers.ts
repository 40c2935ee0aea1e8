import { describe, it } from '@jest/globals';
import { Redis } from 'ioredis';
import pg from 'pg';

const LOCAL_POSTGRES = 'postgres://postgres@127.0.0.1:5432/postgres';

/**
 * The Postgres server to test with: the one that DATABASE_URL names, else the one on the usual local port, if any. Its commits do
 * not wait for the disk, which may stand still for seconds on a machine that others use too: no spec here cuts its power, and
 * claims of two seconds would run out meanwhile.
 */
export async function findPostgres(): Promise<string | undefined> {
  const url = notWaitingForTheDisk(process.env.DATABASE_URL ?? LOCAL_POSTGRES);
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  try {
    await client.connect();
    await client.end();
    return url;
  } catch {
    return undefined;
  }
}

function notWaitingForTheDisk(url: string): string {
  const waiting = new URL(url);
  const options = waiting.searchParams.get('options') ?? '';
  waiting.searchParams.set('options', `${options} -c synchronous_commit=off`.trimStart());
  return waiting.href;
}

const LOCAL_REDIS = 'redis://127.0.0.1:6379';

/** The Redis server to test with: the one that REDIS_URL names, else the one on the usual local port, if any. */
export async function findRedis(): Promise<string | undefined> {
  const url = process.env.REDIS_URL ?? LOCAL_REDIS;
  const client = new Redis(url, { lazyConnect: true, connectTimeout: 2_000, retryStrategy: () => null });
  client.on('error', () => {});
  try {
    await client.connect();
    return url;
  } catch {
    return undefined;
  } finally {
    client.disconnect();
  }
}

/**
 * `describe` for specs that need a server: without one they are reported as skipped, by name; in CI that is a failure.
 */
export function describeWith<Server>(name: string, server: Server | undefined, specs: (server: Server) => void): void {
  if (server !== undefined) return describe(name, () => specs(server));
  if (process.env.CI) {
    return it(`${name}: the server must be there in CI`, () => Promise.reject(new Error('It is not.')));
  }
  describe.skip(`${name} (no server found)`, () => specs(undefined as Server));
  // Jest does not mention a file of which all is skipped.
  it.todo(`${name}: no server found`);
}
