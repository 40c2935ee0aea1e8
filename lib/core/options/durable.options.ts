import { type Checks, IS_DURATION, isCount, isObject } from './option-checks.js';

/** Says how deliveries are worked on: those of one durable callback, or by default those of an application. */
export interface DurableOptions {
  /** Says when a failed attempt is followed by another. */
  retry?: RetryOptions;
  /**
   * How long one attempt may take, in milliseconds. Then its `currentEvent().signal` aborts, and it counts as failed. A
   * callback that does not heed the signal goes on, and may run twice. `Infinity` sets no limit.
   * @default 900_000
   */
  timeoutMs?: number;
  /**
   * How many attempts of the callback run at the same time in each instance of the application.
   * @default 10
   */
  concurrency?: number;
}

/** Says when a failed attempt is followed by another. By default a delivery is tried for about eight hours. */
export interface RetryOptions {
  /**
   * How many attempts there are in all. After the last one the delivery is dead. `1` allows only the first.
   * @default 20
   */
  attempts?: number;
  /**
   * The time from the first failure to the second attempt, in milliseconds. To each delay up to a quarter is added at
   * random, so that what failed together is not tried again together.
   * @default 1_000
   */
  delayMs?: number;
  /**
   * `'exponential'`: each delay is twice the one before. `'fixed'`: all are the same.
   * @default 'exponential'
   */
  backoff?: 'exponential' | 'fixed';
  /**
   * The longest that an exponential delay can grow to, in milliseconds.
   * @default 3_600_000
   */
  maxDelayMs?: number;
  /**
   * How long a delivery may be postponed in all by `DeliveryPostponed`, in milliseconds. What would be postponed for longer fails, and
   * is tried again as after any failure.
   * @default 86_400_000
   */
  maxPostponedMs?: number;
}

export interface CompleteDurableOptions {
  readonly retry: Readonly<Required<RetryOptions>>;
  readonly timeoutMs: number;
  readonly concurrency: number;
}

const DEFAULTS: CompleteDurableOptions = {
  retry: { attempts: 20, delayMs: 1_000, backoff: 'exponential', maxDelayMs: 3_600_000, maxPostponedMs: 86_400_000 },
  timeoutMs: 900_000,
  concurrency: 10,
};

/**
 * Fills in each option that the callback leaves out from the application, and each that both leave out from the defaults.
 */
export function completeDurableOptions(
  { retry, timeoutMs, concurrency }: DurableOptions = {},
  defaults = DEFAULTS,
): CompleteDurableOptions {
  return {
    retry: { ...defaults.retry, ...withoutUndefined(retry) },
    timeoutMs: timeoutMs ?? defaults.timeoutMs,
    concurrency: concurrency ?? defaults.concurrency,
  };
}

const withoutUndefined = (options: RetryOptions = {}): RetryOptions =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/** The milliseconds that a delivery waits after an attempt has failed, which was the `charged`th that is charged to it. */
export function retryDelay(
  charged: number,
  { delayMs, backoff, maxDelayMs }: Required<RetryOptions>,
  random = Math.random,
): number {
  const delay = backoff === 'fixed' ? delayMs : Math.min(delayMs * 2 ** (charged - 1), Math.max(maxDelayMs, delayMs));
  return Math.round(delay * (1 + random() / 4));
}

/** The checks of these options, for a callback as for an application. */
export const DURABLE_CHECKS: Checks = {
  retry: isObject('Pass { attempts, delayMs, backoff, maxDelayMs, maxPostponedMs }.'),
  'retry.attempts': isCount(1),
  'retry.delayMs': IS_DURATION,
  'retry.backoff': {
    isValid: (value) => value === 'exponential' || value === 'fixed',
    expected: `Pass 'exponential' or 'fixed'.`,
  },
  'retry.maxDelayMs': IS_DURATION,
  'retry.maxPostponedMs': IS_DURATION,
  timeoutMs: {
    isValid: (value) => value === Infinity || (IS_DURATION.isValid(value) && value > 0),
    expected: 'Pass milliseconds, more than 0, or Infinity.',
  },
  concurrency: isCount(1),
};
