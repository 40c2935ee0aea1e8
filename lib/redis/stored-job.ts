import type { JobJson } from 'bullmq';
import type { Delivery, EngineAttempt, NewDelivery, StoredError } from '../engine/index.js';

/** What lies in the `data` of a job, as a dashboard shows it. */
export interface JobData {
  readonly key?: string;
  readonly arguments: Delivery['arguments'];
  /** How many of the attempts that BullMQ has counted do not count. */
  readonly uncounted?: number;
}

/** A job that is none of ours, as somebody may add one, has no arguments, and is found unreadable for that. */
export const readData = (data: string) => (parsed(data) ?? {}) as JobData;

/** What JSON says; `undefined` of what is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A delivery as BullMQ takes a job: of one callback's queue, by its own id. */
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

/** Fields of our own beside BullMQ's, written by its scripts in the same step. */
export interface OwnFields {
  /** What the last attempt failed with. BullMQ's own say less of it. */
  readonly error?: StoredError;
  /** From when it is due, in milliseconds since 1970. */
  readonly due?: number;
  /** Of a dead one: how many attempts there were. */
  readonly attempts?: number;
  readonly data?: JobData;
}

/** With what BullMQ's dashboards read of a failure. */
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

export const attemptNumber = (started: number, { uncounted = 0 }: JobData): EngineAttempt['attempt'] =>
  started - uncounted;
