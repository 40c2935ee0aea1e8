import type { DeliveryMode } from './callback.options.js';

/** Tells `onError` of one callback's failure. */
export interface CallbackFailure {
  /** The event's name, or its class's name. */
  readonly event: string;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  readonly delivery: DeliveryMode;
  /** The arguments that the callback was called with. */
  readonly arguments: readonly unknown[];
  /** The very thing that the callback threw; or an `EventsError` when the callback was dropped, or did not finish. */
  readonly error: unknown;
  /**
   * Whether the caller got the error too, thrown or in an outcome of `runSettled()`. Of background callbacks, and of
   * optional ones in `run()`, only this report tells.
   */
  readonly reachesCaller: boolean;
  /** Tells of a durable callback which attempt failed, at which delivery. */
  readonly attempt?: FailedAttempt;
}

/** Tells which attempt at a durable delivery failed, and when the next one begins. */
export interface FailedAttempt {
  /** The delivery's id. */
  readonly id: string;
  /** Which attempt this was: 1 for the first. */
  readonly attempt: number;
  /** How many attempts there may be: `retry.attempts`, and another for each that was not charged as its instance died. */
  readonly attempts: number;
  /** Whether this was the last attempt, so that the delivery is dead. */
  readonly isDead: boolean;
  /** When the next attempt begins, in milliseconds from now; `undefined` when there is none: the delivery is dead. */
  readonly retryInMs?: number;
}
