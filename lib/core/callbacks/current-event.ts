import { shared } from '../copies/shared.js';
import { Ambient } from '../async/ambient.js';
import { currentTransaction } from '../transactions/current-transaction.js';
import type { Transaction } from '../transactions/transaction.js';
import type { TransactionHandle } from '../transactions/transaction-handle.js';
import type { EventHeaders } from '../events/event-headers.js';
import type { EventKey } from '../events/event-map.js';
import { InstanceScope } from '../nest/instance-scope.js';
import type { RegisteredEvent } from './registered-event.js';

/** Tells a callback about the run that it is part of. */
export interface CurrentEvent {
  /** The event's name, or its class. */
  readonly event: EventKey;
  /** The arguments that the callbacks are called with. */
  readonly arguments: readonly unknown[];
  /**
   * Aborts when `shutdownTimeout` has passed and the run is given up. In a durable attempt also when `timeoutMs` is
   * over, and when the claim on the delivery has run out, so that another instance may take it.
   */
  readonly signal: AbortSignal;
  /**
   * What travels with the run beside its arguments: what was passed to `events.with({ headers })`, `correlation-id` and
   * `causation-id` where a callback of the run is called later, and what propagators add. Names are in lower case.
   */
  readonly headers: EventHeaders;
  /** The HTTP request that the run was made in, as passed to `events.with({ request })`. */
  readonly request?: object;
  /**
   * In an inline callback: the transaction that the event was run in, as it was passed to `events.with({ tx })`, or as
   * `inTransaction()` has opened it. Send statements through it that are to be part of the transaction.
   */
  readonly tx?: unknown;
  /** In a durable attempt: the delivery that is being worked on. */
  readonly delivery?: CurrentDelivery;
}

/** Tells a durable callback about its delivery. */
export interface CurrentDelivery {
  /**
   * What to deduplicate by: the id that was passed to `events.with({ id })`, or else a UUID. It is the same for each attempt, and
   * for all deliveries of one run.
   */
  readonly id: string;
  /**
   * Which attempt this is: 1 for the first. It may exceed `retry.attempts`, as one that ended with its instance is not charged
   * at first.
   */
  readonly attempt: number;
  /** The key that was passed to `events.with({ key })`. */
  readonly key?: string;
  /**
   * Makes the delivery complete when this transaction commits. Whatever the callback writes in it then happens exactly once,
   * whatever dies in between. Call it before the commit.
   *
   * @example
   * await pool.transaction(async (tx) => {
   *   await tx.query('update accounts set …');
   *   await currentEvent()!.delivery!.completeIn(tx);
   * });
   *
   * @param transaction the callback's own transaction, of any data layer that `events.with({ tx })` takes
   * @throws EVENTS_DELIVERY_LOST, which must roll the transaction back, when another instance may have taken the delivery in
   * the meantime; EVENTS_DELIVERY_COMPLETED; EVENTS_TRANSACTION_OVER when no transaction is open there;
   * EVENTS_TRANSACTION_FOREIGN, EVENTS_TRANSACTION_ABORTED, EVENTS_ENGINE_UNSUITED when the engine takes no transactions
   */
  completeIn(transaction: TransactionHandle): Promise<void>;
}

const ambient = shared('current event', () => new Ambient<CurrentEvent>());

/**
 * Answers with the run that the calling code is part of: in durable, background, after-commit and after-rollback callbacks, in
 * callbacks of runs made through `events.with()` or in a transaction, and with the option `tracksCurrentEvent` in all. Elsewhere it
 * answers `undefined`.
 *
 * @example
 * const response = await fetch(url, { signal: currentEvent()?.signal });
 */
export const currentEvent = (): CurrentEvent | undefined => ambient.value;

/** Does some work in which `currentEvent()` answers. */
export function withCurrentEvent<T>(current: CurrentEvent, work: () => T): T {
  return ambient.run(current, work);
}

/** The things about a run that its callbacks may ask for. */
export interface About {
  readonly headers: EventHeaders;
  readonly request: object | undefined;
}

/** A run, as `currentEvent()` shows it to its callbacks. */
class RunEvent implements CurrentEvent {
  declare readonly request?: object;
  readonly arguments: readonly unknown[];
  readonly #about: About;

  constructor(
    readonly event: EventKey,
    args: readonly unknown[],
    readonly signal: AbortSignal,
    about: About,
  ) {
    this.arguments = args;
    this.#about = about;
    if (about.request) this.request = about.request;
  }

  /** Some are made when somebody asks. */
  get headers(): EventHeaders {
    return this.#about.headers;
  }
}

/** Describes a run for its callbacks: the value that `currentEvent()` answers with. */
export function describeRun(
  { signal }: { readonly signal: AbortSignal },
  { key }: RegisteredEvent,
  args: readonly unknown[],
  about: About,
  transaction?: Transaction,
): CurrentEvent {
  const current = new RunEvent(key, args, signal, about);
  if (transaction) {
    // An optional callback may be given a transaction of its own within that of the run.
    const handleNow = () => {
      const now = currentTransaction();
      return now?.isWithin(transaction) ? now.handle : transaction.handle;
    };
    Object.defineProperty(current, 'tx', { enumerable: true, get: handleNow });
  }
  return Object.freeze(current);
}

/**
 * The scope in which the inline callbacks of a run get their request-scoped instances, which are those of its HTTP request if it
 * has one; `undefined` when none of them needs one.
 */
export const scopeOf = (
  host: { readonly signal: AbortSignal },
  event: RegisteredEvent,
  args: readonly unknown[],
  about: About,
): InstanceScope | undefined =>
  event.isScoped ? new InstanceScope(describeRun(host, event, args, about), about.request !== undefined) : undefined;
