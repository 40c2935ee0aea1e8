import { isWhole, type OptionCheck, requireOptions, timers } from '../engine/index.js';

/** The options of `redis()`. One of the first two says where the server is. */
export interface RedisOptions {
  /** The URL of a Redis server, as in `redis://user:password@host:6379/0`. Others may use its database, too. */
  readonly url?: string;
  /**
   * A connection as BullMQ takes it: options of ioredis, or the application's own `Redis` or `Cluster`. The engine opens
   * connections of its own, like that one.
   */
  readonly connection?: object;
  /**
   * The beginning of all keys. Each application that shares a server needs one of its own. A hash tag, as in the default,
   * makes a Redis Cluster keep all keys together, and on a cluster the prefix must have one.
   * @default '{nestjs-callbacks}'
   */
  readonly prefix?: string;
  /**
   * How long a claim on a delivery lasts that is not renewed, in milliseconds. After that, another instance performs what
   * a crashed one was performing.
   * @default 10_000
   */
  readonly leaseMs?: number;
  /**
   * How long storing waits for the server, in milliseconds, before `run()` rejects.
   * @default 5_000
   */
  readonly storeTimeoutMs?: number;
  /**
   * How long completed deliveries are kept, in milliseconds, in whole seconds. During that time, an id that is stored
   * again is passed over. Completed deliveries take memory.
   * @default 86_400_000
   */
  readonly keepCompletedMs?: number;
  /**
   * How long dead deliveries are kept, in milliseconds. What has been dead for longer is removed within a minute or so, with a line of
   * the log, as if somebody had discarded it.
   * @default Infinity
   */
  readonly keepDeadMs?: number;
}

/** The options, with their defaults filled in. */
export type CompleteOptions = Required<Omit<RedisOptions, 'url' | 'connection'>> &
  Pick<RedisOptions, 'url' | 'connection'>;

const DEFAULTS = {
  prefix: '{nestjs-callbacks}',
  leaseMs: 10_000,
  storeTimeoutMs: 5_000,
  keepCompletedMs: 86_400_000,
  keepDeadMs: Infinity,
};

const { LONGEST_TIMER_MS } = timers;

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
  keepCompletedMs: { isValid: isWhole(1_000, 1_000), expected: 'Pass milliseconds, a multiple of 1000.' },
  keepDeadMs: {
    isValid: (value) => value === Infinity || isWhole(1, 1_000)(value),
    expected: 'Pass milliseconds, 1000 or more, or Infinity.',
  },
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
