import { isWhole, type OptionCheck, requireOptions, timers } from '../engine/index.js';
import { faultOf } from './connection-string.js';
import type { PgPool } from './connection/pg-pool.js';
import type { PGliteDatabase } from './connection/pglite-database.js';

/** The options of `postgres()`. One of the first four says where the database is. */
export interface PostgresOptions {
  /** The URL of a Postgres server. The engine opens connections of its own to it. If it is `undefined`, `folder` counts. */
  readonly connectionString?: string | undefined;
  /**
   * The application's own pool of node-postgres, of three connections or more. The engine keeps one of them all the time,
   * to listen. It renews claims through the others, so leave it some room.
   */
  readonly pool?: PgPool;
  /**
   * A folder for PGlite, an embedded Postgres. Use it for development and tests, or where the application is one process
   * and can bear to lose the last moments when the power fails.
   */
  readonly folder?: string;
  /**
   * The application's own PGlite.
   *
   * It has one session: a run within its transaction would wait for itself, unless it is stored in that transaction. To
   * notice such a run, the engine replaces the object's `transaction()` with a method that calls it and remembers that a
   * transaction is open. When the application closes, the engine puts `transaction()` back; where several engines share
   * the object, the last to close does so.
   */
  readonly pglite?: PGliteDatabase;
  /**
   * The schema that holds the deliveries. Each application that shares a database needs one of its own.
   * @default 'nestjs_callbacks'
   */
  readonly schema?: string;
  /**
   * Whether the engine makes and changes the schema. With `false`, somebody who may has made it already, from
   * `schemaSql()`, and the application's role needs no right to change it.
   * @default true
   */
  readonly migrate?: boolean;
  /**
   * How long a claim on a delivery lasts that is not renewed, in milliseconds, in whole seconds. After that, another
   * instance performs what a crashed one was performing.
   * @default 10_000
   */
  readonly leaseMs?: number;
  /**
   * How long storing waits for the database, in milliseconds, before `run()` rejects.
   * @default 5_000
   */
  readonly storeTimeoutMs?: number;
  /**
   * How long completed deliveries are kept, in milliseconds, in whole seconds. During that time, an id that is stored
   * again is passed over. Waiting and dead deliveries are kept until somebody removes them.
   * @default 604_800_000
   */
  readonly keepCompletedMs?: number;
  /**
   * How long dead deliveries are kept, in milliseconds. What has been dead for longer is removed within a minute or so, with a line of
   * the log, as if somebody had discarded it.
   * @default Infinity
   */
  readonly keepDeadMs?: number;
  /**
   * How many connections the engine opens at most, with `connectionString`.
   * @default 10
   */
  readonly connections?: number;
}

/** The options, with their defaults filled in. */
export type CompleteOptions = PostgresOptions &
  Required<
    Pick<
      PostgresOptions,
      'schema' | 'migrate' | 'leaseMs' | 'storeTimeoutMs' | 'keepCompletedMs' | 'keepDeadMs' | 'connections'
    >
  >;

const DEFAULTS = {
  schema: 'nestjs_callbacks',
  migrate: true,
  leaseMs: 10_000,
  storeTimeoutMs: 5_000,
  keepCompletedMs: 604_800_000,
  keepDeadMs: Infinity,
  connections: 10,
};

const { LONGEST_TIMER_MS } = timers;

/** One connection listens, one works, one stores. */
const FEWEST = 3;

const PLACES = ['connectionString', 'pool', 'folder', 'pglite'] as const;
const hasMethods = (value: unknown, ...names: string[]) =>
  names.every((name) => typeof (value as Record<string, unknown> | null)?.[name] === 'function');
const check = (isValid: (value: any) => boolean, expected: string): OptionCheck => ({
  isValid,
  expected: `Pass ${expected}.`,
});

const CHECKS: Record<keyof PostgresOptions, OptionCheck> = {
  connectionString: { isValid: (value) => faultOf(value) === undefined, expected: (value) => faultOf(value)! },
  pool: check((value) => hasMethods(value, 'connect', 'on', 'off'), "a Pool of node-postgres ('pg')"),
  // PGlite takes others, which no lock can be put into.
  folder: check(
    (value) => typeof value === 'string' && value !== '' && !/^[a-z][a-z\d-]*:\/\//i.test(value),
    'the path of a folder; of a database in memory or elsewhere, pass what makes it: { pglite: await PGlite.create(…) }',
  ),
  pglite: check(
    (value) => hasMethods(value, 'query', 'exec', 'transaction', 'listen'),
    'what PGlite.create() resolves to',
  ),
  schema: check(
    (value) => typeof value === 'string' && /^[a-z_][a-z0-9_]{0,49}$/.test(value),
    'a name of small letters, digits and _, at most 50',
  ),
  migrate: check((value) => typeof value === 'boolean', 'true or false'),
  leaseMs: check(
    isWhole(1_000, 1_000, LONGEST_TIMER_MS),
    'milliseconds, 1000 or more, a multiple of 1000, 24 days at most',
  ),
  storeTimeoutMs: check(isWhole(1, 1, LONGEST_TIMER_MS), 'milliseconds, 1 or more and 24 days at most'),
  keepCompletedMs: check(isWhole(1_000, 1_000), 'milliseconds, a multiple of 1000'),
  keepDeadMs: check(
    (value) => value === Infinity || isWhole(1, 1_000)(value),
    'milliseconds, 1000 or more, or Infinity',
  ),
  connections: check(isWhole(1, FEWEST), `a whole number, ${FEWEST} or more`),
};

/** Refuses what is wrong and fills in the rest. */
export function completeOptions(options: PostgresOptions): CompleteOptions {
  requireOptions('postgres()', options ?? {}, CHECKS);
  const given = Object.entries(options ?? {}).filter(([, value]) => value !== undefined);
  const places = PLACES.filter((place) => options?.[place] !== undefined);
  const isEither = places.length === 2 && places.includes('connectionString') && places.includes('folder');
  if (places.length === 0 || (places.length > 1 && !isEither)) {
    throw new Error(
      `postgres() was given ${places.length === 0 ? 'no database' : places.join(' and ')}. ` +
        'Pass one of { connectionString }, { pool }, { folder } and { pglite }; of connectionString and folder both, to ' +
        'use the folder where there is no server.',
    );
  }
  const max = mostOf(options.pool) ?? FEWEST;
  if (max < FEWEST) {
    throw new Error(
      `postgres() was given a pool of ${max}, and listening alone takes one. Let it have ${FEWEST} or more.`,
    );
  }
  return { ...DEFAULTS, ...Object.fromEntries(given) };
}

/** How many sessions there may be at once on a server. */
export const sessionsOf = ({ pool, connections }: CompleteOptions): number => (pool && mostOf(pool)) ?? connections;

const mostOf = (pool: PgPool | undefined) => (pool as { options?: { max?: number } } | undefined)?.options?.max;
