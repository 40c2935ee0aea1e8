import type { DeliveryAddress, DeliveryState, HistoryEntry, KeptDelivery, StoredError } from '../engine/index.js';
import { Standing } from './standing.js';
import { type JobOptions, parsed, readData } from './stored-job.js';

/** The fields of a job that are read. */
export const FIELDS = [
  'data',
  'timestamp',
  'ats',
  'stc',
  'opts',
  'due',
  'processedOn',
  'finishedOn',
  'attempts',
  'error',
  'failedReason',
] as const;

export type Fields = Record<(typeof FIELDS)[number], string | null>;
type Times = Pick<Fields, 'timestamp' | 'due' | 'opts'>;

/** Names the values of the fields, in their order. */
export const fieldsIn = (values: readonly (string | null)[]) =>
  Object.fromEntries(FIELDS.map((name, at) => [name, values[at]])) as Fields;

/** Reads the time out of a score: BullMQ orders delayed jobs by time and, within a millisecond, by a number of 12 bits. */
export const timeOf = (score: number) => Math.floor(score / 0x1000);

export const optionsOf = (opts: string | null) => (parsed(opts ?? '') ?? {}) as JobOptions;

/** When a job that waits was, or will be, due, in milliseconds since 1970; and `undefined` if it was due from the beginning. */
export function delayedUntil({ due, opts, timestamp }: Times): number | undefined {
  if (due !== null) return Number(due);
  const { delay = 0 } = optionsOf(opts);
  return delay > 0 ? Number(timestamp) + delay : undefined;
}

/** Since when a job is due that waits in the list, in milliseconds since 1970. */
export const dueSince = (times: Times): number => delayedUntil(times) ?? Number(times.timestamp);

/** Where a delivery is, and since when. */
export interface Found extends DeliveryAddress {
  readonly id: string;
  readonly state: DeliveryState;
  /** The score of a delayed job. */
  readonly delayed?: number;
  readonly history: readonly HistoryEntry[];
}

export function keptOf({ delayed, history, ...found }: Found, fields: Fields): KeptDelivery {
  const { state } = found;
  const data = readData(fields.data ?? '');
  const since = {
    waiting: delayed === undefined ? dueSince(fields) : timeOf(delayed),
    running: Number(fields.processedOn),
    dead: Number(fields.finishedOn),
    completed: Number(fields.finishedOn),
  }[state];
  const error = errorOf(fields);
  const { headers, givenId } = optionsOf(fields.opts);
  return {
    ...found,
    ...(givenId !== undefined && { givenId }),
    ...(data.key !== undefined && { key: data.key }),
    ...(headers && { headers }),
    arguments: data.arguments ?? [],
    attempts:
      state === 'dead' && fields.attempts
        ? Number(fields.attempts)
        : new Standing(Number(fields.ats ?? 0), Number(fields.stc ?? 0), data).attempt,
    storedAt: new Date(Number(fields.timestamp)),
    since: new Date(since),
    ...(error && { error }),
    ...(history.length > 0 && { history }),
  };
}

/** Reads what the last attempt failed with. Where BullMQ or somebody else has failed the job, it says less. */
export const errorOf = ({ error, failedReason }: Pick<Fields, 'error' | 'failedReason'>): StoredError | undefined =>
  ((error && parsed(error)) as StoredError | undefined) ||
  (failedReason ? { name: 'Error', message: failedReason } : undefined);
