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
  /** How long it has been postponed, in all, in milliseconds. */
  readonly postponed?: number;
  /** How often BullMQ had taken it back from a dead instance when these numbers were written. */
  readonly stalled?: number;
  /** It is suspected of ending its instance, and an attempt at it has begun, or not. */
  readonly suspect?: 'begun' | 'waits';
}

/**
 * The `opts` of a job. BullMQ keeps those that it does not know as they are, and so does every version of this package, which
 * writes the data anew.
 */
export interface JobOptions {
  readonly delay?: number;
  readonly headers?: Delivery['headers'];
  readonly givenId?: string;
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

/** What Redis takes as one value, in bytes, unless it is configured otherwise; it ends the connection that sends more. */
const MOST_BYTES = 512 * 1024 * 1024;
/** One character takes so many bytes at most, in UTF-8. */
const MOST_BYTES_OF_CHARACTER = 3;

/**
 * Makes jobs of the deliveries of one run.
 *
 * @throws RangeError if they are more than a string can hold, or than Redis takes at once
 */
export function jobsOf(deliveries: readonly NewDelivery[]): JobJson[] {
  try {
    const jobs = Array.from(dataOf(deliveries), (data, index) => jobOf(deliveries[index], data));
    const bytes = textOf(jobs) * MOST_BYTES_OF_CHARACTER > MOST_BYTES ? bytesOf(jobs) : 0;
    if (bytes > MOST_BYTES) throw new RangeError(`${bytes} bytes are more than Redis takes`);
    return jobs;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new RangeError(`its arguments are too large to be written as JSON: ${cause.message}`, { cause });
  }
}

/** The length of the data of some jobs. */
export const textOf = (jobs: readonly JobJson[]): number => jobs.reduce((sum, { data }) => sum + data.length, 0);

const bytesOf = (jobs: readonly JobJson[]) => jobs.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0);

/** Writes the data of deliveries: of those that have the same in common, once. */
function* dataOf(deliveries: readonly NewDelivery[]): Generator<string> {
  let [before, data]: [NewDelivery | undefined, string] = [undefined, ''];
  for (const delivery of deliveries) {
    const { key, arguments: args } = delivery;
    if (before?.key !== key || before?.arguments !== args)
      data = JSON.stringify({ key, arguments: args } satisfies JobData);
    before = delivery;
    yield data;
  }
}

/** Makes a job of a delivery, for its callback's queue. It keeps the delivery's id. */
const jobOf = ({ id, givenId, callback, headers, delayMs }: NewDelivery, data: string): JobJson => ({
  id,
  name: callback,
  data,
  opts: {
    ...(delayMs > 0 && { delay: Math.round(delayMs) }),
    ...(headers && { headers }),
    ...(givenId !== undefined && { givenId }),
  } satisfies JobOptions,
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
  /** How often BullMQ is to have counted that the job was taken. */
  readonly started?: number;
  readonly data?: JobData;
}

/** Turns our own fields into those of the job's hash, and adds those that BullMQ's dashboards show of a failure. */
export const fieldsOf = ({ error, due, attempts, started, data }: OwnFields): Record<string, string | number> => ({
  ...(error && {
    error: JSON.stringify(error),
    failedReason: error.message,
    stacktrace: JSON.stringify([error.stack ?? error.message]),
  }),
  ...(due !== undefined && { due }),
  ...(attempts !== undefined && { attempts }),
  ...(started !== undefined && { ats: started }),
  ...(data && { data: JSON.stringify(data) }),
});
