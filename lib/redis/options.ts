import { type OptionCheck, requireOptions, timers } from '../engine/index.js';

/** What `redis()` takes: a server, and how it is used. */
export interface RedisOptions {
  /** A Redis server, as in `redis://user:password@host:6379/0`; its database may be shared. */
  readonly url?: string;
  /**
   * What BullMQ takes as a connection: options of ioredis, or a `Redis` or `Cluster` of the application's own, of which
   * the engine opens connections like it.
   */
  readonly connection?: object;
  /**
   * What all keys begin with: one for each application that shares a server. With a hash tag, as here, a Redis Cluster keeps them
   * together; there it must have one.
   * @default '{nestjs-callbacks}'
   */
  readonly prefix?: string;
  /**
   * How long the claim of an instance lasts that does not renew it, in milliseconds: after that, what it was performing
   * when it died is performed by another.
   * @default 10_000
   */
  readonly leaseMs?: number;
  /**
   * How long storing waits for the server, in milliseconds.
   * @default 5_000
   */
  readonly storeTimeoutMs?: number;
  /**
   * How long completed deliveries are kept, in milliseconds, so that an id that is stored again is known. They take memory.
   * @default 86_400_000
   */
  readonly keepCompletedMs?: number;
}

export type CompleteOptions = Required<Omit<RedisOptions, 'url' | 'connection'>> &
  Pick<RedisOptions, 'url' | 'connection'>;

const DEFAULTS = {
  prefix: '{nestjs-callbacks}',
  leaseMs: 10_000,
  storeTimeoutMs: 5_000,
  keepCompletedMs: 86_400_000,
};

const { LONGEST_TIMER_MS } = timers;

const isWhole =
  (unit: number, least: number, most = Infinity) =>
  (value: unknown) =>
    typeof value === 'number' && Number.isSafeInteger(value / unit) && value / unit >= least && value <= most;

const CHECKS: Record<keyof RedisOptions, OptionCheck> = {
  url: {
    isValid: (value) => typeof value === 'string' && /^rediss?:\/\/./.test(value),
    expected: 'Pass a URL as in redis://host:6379.',
  },
  connection: {
    isValid: (value) => typeof value === 'object' && value !== null,
    expected: 'Pass options of ioredis, or a Redis or Cluster that it has made.',
  },
  prefix: {
    isValid: (value) => typeof value === 'string' && value !== '',
    expected: 'Pass a string that is not empty.',
  },
  leaseMs: {
    isValid: isWhole(1, 100, LONGEST_TIMER_MS),
    expected: 'Pass milliseconds, 100 or more and 24 days at most.',
  },
  storeTimeoutMs: {
    isValid: isWhole(1, 1, LONGEST_TIMER_MS),
    expected: 'Pass milliseconds, 1 or more and 24 days at most.',
  },
  keepCompletedMs: { isValid: isWhole(1_000, 1), expected: 'Pass milliseconds, a multiple of 1000.' },
};

/** Refuses what is wrong and fills in the rest. */
export function completeOptions(options: RedisOptions): CompleteOptions {
  requireOptions('redis()', options ?? {}, CHECKS);
  if ((options?.url === undefined) === (options?.connection === undefined)) {
    throw new Error(
      `redis() was given ${options?.url === undefined ? 'no server' : 'url and connection'}. ` +
        'Pass one of { url } and { connection }.',
    );
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...DEFAULTS, ...Object.fromEntries(given) };
}
