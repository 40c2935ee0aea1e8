import type { StoredError } from '../errors/stored-error.js';
import type { DeliveryAddress, Delivery } from './delivery.js';

/** A delivery is `waiting` for its time or its turn, `running`, or `dead`, having failed for good. */
export type DeliveryState = 'waiting' | 'running' | 'dead';

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
}

/** A delivery as it lies in the store. */
export interface KeptDelivery extends Delivery {
  readonly state: DeliveryState;
  /** How many attempts have begun. */
  readonly attempts: number;
  readonly storedAt: Date;
  /** The time from which it may be performed; of a dead one, the time when it died. */
  readonly since: Date;
  /** The error of the last attempt. */
  readonly error?: StoredError;
  /** Its place in the list that it comes from: the list goes on after it. It means something to the engine only. */
  readonly cursor: string;
}

/** Names deliveries: all that fit every field given. */
export interface DeliveryFilter {
  readonly event?: string;
  readonly callback?: string;
  readonly ids?: readonly string[];
}

export interface DeliveryQuery extends DeliveryFilter {
  readonly state: DeliveryState;
  readonly limit: number;
  /** The cursor of the last delivery of the page before. */
  readonly after?: string;
}
