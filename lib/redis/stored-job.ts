import type { JobJson } from 'bullmq';
import type { Delivery, NewDelivery, StoredError } from '../engine/index.js';

/** The `data` of a job, as a dashboard shows it. */
export interface JobData {
  readonly key?: string;
  readonly arguments: Delivery['arguments'];
  /** How many of the attempts that BullMQ has counted do not count for us. */
  readonly uncounted?: number;
  /** How many of those that count are not charged. */
  readonly spared?: number;
  /** How often BullMQ had taken it back from a dead instance when these numbers were written. */
  readonly stalled?: number;
  /** It is suspected of ending its instance, and an attempt at it has begun, or not. */
  readonly suspect?: 'begun' | 'waits';
}

/**
 * Reads the `data` of a job. Somebody else may have added a job that is none of ours. It has no arguments here, and the
 * core refuses it as unreadable for that.
 */
export const readData = (data: string) => (parsed(data) ?? {}) as JobData;

/** Parses JSON. Answers `undefined` if the text is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Makes a job of a delivery, for its callback's queue. It keeps the delivery's id. */
export const jobOf = ({ id, callback, key, arguments: args, delayMs }: NewDelivery): JobJson => ({
  id,
  name: callback,
  data: JSON.stringify({ ...(key !== undefined && { key }), arguments: args } satisfies JobData),
  opts: delayMs > 0 ? { delay: Math.round(delayMs) } : {},
  timestamp: Date.now(),
  progress: 0,
  attemptsMade: 0,
  attemptsStarted: 0,
  stalledCounter: 0,
  failedReason: '',
  returnvalue: '',
});

/** Fields of our own beside BullMQ's. BullMQ's scripts write them in the same step in which they move the job. */
export interface OwnFields {
  /** The error of the last attempt. BullMQ's own fields say less of it. */
  readonly error?: StoredError;
  /** When the job is due, in milliseconds since 1970. */
  readonly due?: number;
  /** How many attempts a dead job has had. */
  readonly attempts?: number;
  readonly data?: JobData;
}

/** Turns our own fields into those of the job's hash, and adds those that BullMQ's dashboards show of a failure. */
export const fieldsOf = ({ error, due, attempts, data }: OwnFields): Record<string, string | number> => ({
  ...(error && {
    error: JSON.stringify(error),
    failedReason: error.message,
    stacktrace: JSON.stringify([error.stack ?? error.message]),
  }),
  ...(due !== undefined && { due }),
  ...(attempts !== undefined && { attempts }),
  ...(data && { data: JSON.stringify(data) }),
});
