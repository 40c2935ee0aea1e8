import type { NewDelivery } from '../engine/index.js';
import { Batches } from './batches.js';
import { isInVain, NotSentError, wasRefused } from './connection/connection.js';

/** A delivery, and the queue that it goes to. */
export interface Addressed {
  readonly queue: string;
  readonly delivery: NewDelivery;
  /** Whom to notify; `undefined`: nobody need be told. */
  readonly call: string | undefined;
  /** When it is stored, in microseconds since 1970; `undefined`: by the database's clock. */
  readonly storedAt?: number;
  /** What group it is of, where the callback limits groups. */
  readonly group?: string;
}

/** The deliveries of one run. */
export interface StoredRun {
  /** As JSON, without the brackets around them. */
  readonly text: string;
  /** Whether some of them may wait for a lock on their key. */
  readonly isOrdered: boolean;
  /** Whether somebody is to be notified. */
  readonly isTold: boolean;
  /** Its event and its key. Runs that may wait for the same lock have the same. */
  readonly lane: string;
}

/** Whether a run's deliveries are stored, or why not. */
export type Stored = { readonly isStored: true } | { readonly error: unknown };

/** Runs on their way to a statement that stores them. */
export type Runs = Batches<StoredRun, Stored>;

/** Stores runs, all or none. */
type Store = (runs: readonly StoredRun[]) => Promise<void>;

const IS_STORED: Stored = { isStored: true };

/**
 * Writes a run as JSON.
 *
 * @throws RangeError if that is more than a string can hold
 */
export function writeRun(deliveries: readonly Addressed[], isOrdered: boolean): StoredRun {
  const [{ delivery }] = deliveries;
  try {
    const text = deliveries.map(jsonOf).join();
    const isTold = deliveries.some(({ call }) => call !== undefined);
    return { text, isOrdered, isTold, lane: `${delivery.event}\n${delivery.key}` };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new RangeError(`its arguments are too large to be written as JSON: ${cause.message}`, { cause });
  }
}

function jsonOf({ queue, call, storedAt, group, delivery }: Addressed): string {
  const { id, givenId, key, delayMs, event, headers, arguments: args } = delivery;
  const data = {
    event,
    ...(givenId !== undefined && { givenId }),
    ...(key !== undefined && { key }),
    ...(headers && { headers }),
    arguments: args,
  };
  return JSON.stringify({ name: queue, id, key, delayMs, call, storedAt, group, data });
}

/** The JSON of several runs. */
export const jsonOfAll = (runs: readonly StoredRun[]) => `[${runs.map(({ text }) => text).join()}]`;

/**
 * Collects runs, and stores those together that have come meanwhile. If that fails and only some may be at fault, stores each
 * alone, one after another.
 *
 * @param onIdle is told when nothing waits any more
 */
export function runsTo(store: Store, isFaultOfSome = isRefusal, onIdle?: () => void): Runs {
  const lengthOf = ({ text }: StoredRun) => text.length;
  return new Batches((runs) => storeTogether(runs, store, isFaultOfSome), lengthOf, onIdle);
}

const isRefusal = (error: unknown) => wasRefused(error) && !isInVain(error);

async function storeTogether(
  runs: readonly StoredRun[],
  store: Store,
  isFaultOfSome: (error: unknown) => boolean,
): Promise<Stored[]> {
  try {
    await store(runs);
    return runs.map(() => IS_STORED);
  } catch (error) {
    if (runs.length === 1 || !isFaultOfSome(error)) throw error;
  }
  const stored: Stored[] = [];
  let inVain: NotSentError | undefined;
  for (const run of runs) {
    const one = inVain ? { error: inVain } : await storeAlone(run, store);
    if ('error' in one && isInVain(one.error)) inVain ??= NotSentError.behind(one.error);
    stored.push(one);
  }
  return stored;
}

const storeAlone = (run: StoredRun, store: Store): Promise<Stored> =>
  store([run]).then(
    () => IS_STORED,
    (error: unknown) => ({ error }),
  );
