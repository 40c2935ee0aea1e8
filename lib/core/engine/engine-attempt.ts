import type { StoredError } from '../errors/stored-error.js';
import type { Delivery } from './delivery.js';
import type { SqlTransaction } from './sql-transaction.js';

/** One attempt at a delivery. Whoever performs it settles it by one of these methods. Whichever comes first counts. */
export interface EngineAttempt {
  readonly delivery: Delivery;
  /** 1 for the first attempt. It grows with each attempt that has begun, also when the instance died during it. */
  readonly attempt: number;
  /** How many attempts are charged to the delivery, this one included: all but those that were spared. */
  readonly charged: number;
  /** How long it has been postponed so far, in all, in milliseconds: since it was stored, or since it was retried when dead. */
  readonly postponedMs?: number;
  /** Aborts when this instance is no longer sure of its claim: then another instance may perform the delivery, too. */
  readonly signal: AbortSignal;

  /** Says that it succeeded. Resolves to whether this attempt still had the claim. So do the next four. */
  complete(): Promise<boolean>;
  /** Says that it failed, and is due again in so many milliseconds. */
  retryIn(ms: number, error: StoredError): Promise<boolean>;
  /**
   * Says that it is due again in so many milliseconds, and has not failed: this attempt does not count. A suspect is none any
   * more. An engine that cannot do that has no such method: `capabilities.postponing` says so.
   */
  postpone?(ms: number): Promise<boolean>;
  /** Says that it failed for good: the delivery is a dead letter. */
  bury(error: StoredError): Promise<boolean>;
  /** Says that it was broken off through no fault of its own: it is due at once, and this attempt does not count. */
  release(): Promise<boolean>;
  /**
   * Makes it succeed if the transaction commits. Rejects with a {@link CompletionRefusedError} if this attempt no longer has
   * the claim, so that the transaction must not commit, or has completed it already; with a {@link TransactionRefusedError} as
   * `store()` of the engine does; and if the engine takes no transactions.
   */
  completeIn(transaction: SqlTransaction): Promise<void>;
}
