import {
  type Delivery,
  type DeliveryState,
  type HistoryEntry,
  MOST_HISTORY,
  type NewDelivery,
  type StoredError,
} from '../../engine/index.js';

/** A delivery in a memory store. */
export interface Row {
  readonly event: string;
  callback: string;
  readonly id: string;
  readonly givenId?: string;
  readonly key?: string;
  readonly headers?: NewDelivery['headers'];
  readonly arguments: NewDelivery['arguments'];
  readonly storedAt: number;
  /** Tells the order of storing; of completed ones, that of completion. */
  place: number;
  state: DeliveryState;
  since: number;
  /** How many attempts have begun. */
  attempts: number;
  /** How many of these ended with their instance and are not charged, as another may have been the cause. */
  spared: number;
  /** How long it was postponed, in all, in milliseconds. */
  postponedMs: number;
  /** Its last attempt ended with its instance. */
  isSuspect: boolean;
  /** It has been performed, and is to be again: nothing of its key overtakes it. */
  isRetried: boolean;
  claim?: Claim;
  error?: StoredError;
  /** Its failures, the last ones. */
  history: readonly HistoryEntry[];
}

/** The claim of an instance on a delivery that it performs. */
export interface Claim {
  expiresAt: number;
  /** Whether the attempt has begun: only then it counts. */
  hasBegun: boolean;
  /** Whether it is on the only suspect that runs there: only then it is charged if its instance dies. */
  readonly isOnLoneSuspect: boolean;
  readonly abort: AbortController;
}

/** The history of a delivery that has one more entry. */
export const remembering = (history: readonly HistoryEntry[], entry: HistoryEntry): readonly HistoryEntry[] =>
  [...history, entry].slice(-MOST_HISTORY);

/** Whether its time has come. */
export const isDue = ({ state, since }: Row, now: number) => state === 'waiting' && since <= now;

/**
 * The deliveries that may not begin: of each key, all but the one that runs, or else the first that is dead or to be tried
 * again.
 */
export function heldUp(lane: ReadonlyMap<string, Row>): ReadonlySet<Row> {
  const holders = new Map<string | undefined, Row>();
  for (const row of lane.values()) {
    const isBegun = row.state === 'dead' || row.isRetried;
    if (row.state === 'running' || (isBegun && !holders.has(row.key))) holders.set(row.key, row);
  }
  return new Set([...lane.values()].filter((row) => holders.has(row.key) && holders.get(row.key) !== row));
}

/** The delivery that a row is, as a copy. */
export const deliveryOf = ({ event, callback, id, givenId, key, headers, arguments: args }: Row): Delivery => ({
  event,
  callback,
  id,
  ...(givenId !== undefined && { givenId }),
  ...(key !== undefined && { key }),
  ...(headers && { headers: copyOf(headers) }),
  arguments: copyOf(args),
});

/** As JSON, which is what deliveries are made of. */
export const copyOf = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
