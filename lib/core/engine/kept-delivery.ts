import type { StoredError } from '../errors/stored-error.js';
import type { DeliveryAddress, Delivery } from './delivery.js';
import type { HistoryEntry } from './delivery-history.js';

/**
 * A delivery is `waiting` for its time or its turn, `running`, `dead`, having failed for good, or `completed`: that is kept for as
 * long as its id is remembered.
 */
export type DeliveryState = 'waiting' | 'running' | 'dead' | 'completed';

/** How many deliveries of an address have ended within the last hour, and are kept. */
export interface LastHour {
  readonly dead: number;
  readonly completed: number;
  /** `false` where one of these numbers may be too small: there are at least so many. */
  readonly isExact: boolean;
}

export interface DeliveryCounts extends DeliveryAddress {
  /** Those that are due, or that an earlier one of their key holds up. */
  readonly waiting: number;
  /** Those that wait for their time: they are delayed, or are to be tried again. */
  readonly delayed: number;
  readonly running: number;
  readonly dead: number;
  /** `false` where one of these numbers may be too small: there are at least so many. */
  readonly isExact: boolean;
  /**
   * Since when the one of `waiting` is due that has been due for the longest; absent where none waits. An engine may look only
   * at those that it would hand out next.
   */
  readonly oldestDueAt?: Date;
  /** Since when the callback is paused; absent where it is not. */
  readonly pausedSince?: Date;
  /** Those that have died or were completed within the last hour. Absent where the engine does not `search`. */
  readonly lastHour?: LastHour;
}

/** A delivery as it lies in the store. */
export interface KeptDelivery extends Delivery {
  readonly state: DeliveryState;
  /** How many attempts have begun. */
  readonly attempts: number;
  readonly storedAt: Date;
  /** The time from which it may be performed; of a dead or completed one, the time when it ended. */
  readonly since: Date;
  /** The error of the last attempt. */
  readonly error?: StoredError;
  /** What has happened to it, the oldest first: its last ten failures. Absent where there are none, or the engine keeps no `history`. */
  readonly history?: readonly HistoryEntry[];
}
