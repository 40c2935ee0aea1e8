import type { StoredError } from '../errors/stored-error.js';
import type { EventHeaders } from '../events/event-headers.js';
import type { EngineHost } from './engine-host.js';
import type { RetriedPortion, RetryPortion } from './retry-portion.js';

/**
 * Stores durable deliveries and brings each to an instance that works on it. An application has one engine, which
 * {@link EngineFactory} makes anew each time it starts. The instances of an application in other processes share the store.
 *
 * The rules below are for whoever writes an engine. `engineContract` of `nestjs-callbacks/testing` checks them.
 *
 * - Nothing is lost: once {@link store} has resolved, its deliveries are performed until they are settled, whatever dies in
 *   between. Waiting and dead deliveries stay until somebody removes them.
 * - At least once: a delivery may be performed again when its instance died, or was cut off from the engine for longer
 *   than a claim lasts. While its instance lives and is heard from, nobody else performs it, however long it takes.
 * - Each delivery is on its own: one that fails, waits or hangs holds up no other, except in order and in quarantine (below).
 * - Only what has begun is charged: an attempt begins when `perform` is called. What was claimed and did not begin comes back as
 *   it was. So does what was released.
 * - Company: many may run in an instance that dies, and one of them may be the cause. So a delivery that was begun there is
 *   *suspected*: its attempt is spared, which is to say not charged. An instance performs the first suspect alone, over all
 *   its callbacks, beside those that are no suspects, and more at a time as they end well, but one that was spared often only
 *   alone. A {@link Quarantine} sees to that.
 *   That a suspect begins alone is written down before `perform` is called. If it then ends with its instance, that attempt
 *   is charged: what kills its process dies alone. A suspect is none any more when an attempt at it is settled, in whatever
 *   way.
 * - In order: an ordered callback gets the deliveries of one key one at a time, in the order in which they were stored,
 *   retries included: the next comes when the one before is completed or discarded. Stored by transactions that overlap,
 *   they come in the order in which the transactions stored their first of that key. A delayed one takes its place when
 *   its delay is over.
 */
export interface DurableEngine {
  /** Its name in messages: `'Postgres'`. */
  readonly name: string;
  /** Says what it can do beyond storing and working. An application that needs more does not start. */
  readonly capabilities: EngineCapabilities;

  /**
   * Connects, and makes the tables or the like in which it keeps deliveries. Called once, before anything else. Several
   * instances may start on an empty store at the same moment. A rejection fails the start of the application with its message.
   */
  start(host: EngineHost): Promise<void>;

  /**
   * Makes room for callbacks. Every instance calls it before anything is stored for them, and again when a module that is
   * loaded later brings more. Deliveries that wait or are dead under a former id of a callback become its own: those of now,
   * and those of later, as an older instance may still store some.
   */
  declare(callbacks: readonly DurableCallback[]): Promise<void>;

  /**
   * Stores deliveries, all or none. With a transaction it stores them in it: they are there when it commits, and only then.
   * An id that was stored for the same callback already is passed over, and leaves the transaction usable. A transaction that
   * is over, or of another database, is refused with a {@link TransactionRefusedError}.
   *
   * A rejection means that none is stored. Where the engine cannot know that, because the connection broke before the answer,
   * it rejects with an {@link UnknownOutcomeError}. Either must come within seconds, also from a server that is frozen.
   */
  store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void>;

  /**
   * Has `perform` perform the deliveries of a declared callback from now on, at most `concurrency` at a time in this
   * instance. An attempt counts until it calls `complete()`, or else until `perform` resolves. `perform` never rejects. An
   * attempt that it has not settled comes back when the claim has run out, as from an instance that died.
   */
  work(callback: DurableCallback, perform: (attempt: EngineAttempt) => Promise<void>): void;

  /** Begins no more attempts. Resolves when none can begin any more. Those under way go on, and settle as before. */
  stopWorking(): Promise<void>;

  /**
   * Whether this instance has the application's duty: of all that work on its deliveries, one does what one is enough for. One has
   * it within seconds, and another one soon after that has stopped working or died. For a moment two may have it. An
   * instance that does not work, or not any more, never has it.
   */
  readonly hasDuty: boolean;

  /**
   * Gives up all connections. Called last, and also when `start()` failed. A delivery that is not settled by then comes
   * back, on another instance, when the claim on it has run out.
   */
  stop(): Promise<void>;

  /** All addresses that instances have declared, whatever application they are of. */
  addresses(): Promise<readonly KnownAddress[]>;

  /**
   * Counts the deliveries at each address that has any, also of callbacks that this instance does not know. It may stop
   * where there are more than 10,000 in a state, and earlier if there are many such addresses, so that it takes no longer:
   * then there are at least so many, and `isExact` is `false`.
   */
  counts(): Promise<readonly DeliveryCounts[]>;

  /**
   * Lists the deliveries that are in one state, a page at a time, in the store's own order: the order of storing, as far as
   * it knows that. Whatever stays in the state while all of it is read, page after page, is listed once; what enters or
   * leaves it meanwhile may be missing. A page that is not full is the last. Rejects with a {@link CursorRefusedError} if
   * `after` is no cursor of such a list.
   */
  list(query: DeliveryQuery): Promise<readonly KeptDelivery[]>;

  /**
   * Makes dead deliveries wait again, due now, with all their attempts before them: a portion of those that the filter
   * means, which the caller asks for until there is no more. One that dies again meanwhile is not retried again by the same
   * series of portions. The filter has at most 1,000 ids.
   */
  retry(filter: DeliveryFilter, portion: RetryPortion): Promise<RetriedPortion>;

  /** Removes deliveries that are waiting or dead, by at most 1,000 ids. Resolves to their number. */
  discard(filter: DeliveryFilter & { readonly ids: readonly string[] }): Promise<number>;
}

/** Makes an application's engine. `postgres()` and its like return one of these. */
export type EngineFactory = () => DurableEngine;

export interface EngineCapabilities {
  /** `store()` and `completeIn()` take an SQL transaction. */
  readonly transactions: boolean;
  /** It keeps the order of ordered callbacks. */
  readonly order: boolean;
}

/** A value that JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The address of a delivery. */
export interface DeliveryAddress {
  /** The event's name, or its class's name. */
  readonly event: string;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
}

/** A durable callback, as an engine knows it. */
export interface DurableCallback extends DeliveryAddress {
  /** The ids that the callback had before. */
  readonly formerly: readonly string[];
  readonly isOrdered: boolean;
  /** How many attempts an instance makes at the same time. */
  readonly concurrency: number;
  /** Another application has it: this one stores for it, and must change nothing of how that has declared it. */
  readonly isRemote?: boolean;
}

/** An address that instances have declared: `isRemote` says that none of them has done so as its own. */
export type KnownAddress = DeliveryAddress & { readonly isOrdered: boolean; readonly isRemote: boolean };

export interface Delivery extends DeliveryAddress {
  /** A UUID, by default of version 7. One run has one for all its callbacks: it is unique within an address. */
  readonly id: string;
  /** The key by which order is kept. Deliveries to ordered callbacks always have one. */
  readonly key?: string;
  /**
   * What travels with it beside its arguments, by names in lower case. It stays readable in the store, and as it was stored, whatever
   * becomes of the delivery. Absent where nothing does, as of those that were stored before there were headers.
   */
  readonly headers?: EventHeaders;
  readonly arguments: readonly Json[];
}

/** A delivery to be stored. */
export interface NewDelivery extends Delivery {
  /** How long it waits until it is due, in milliseconds from when it is stored, or from when its transaction began. */
  readonly delayMs: number;
}

/** One attempt at a delivery. Whoever performs it settles it by one of these methods. Whichever comes first counts. */
export interface EngineAttempt {
  readonly delivery: Delivery;
  /** 1 for the first attempt. It grows with each attempt that has begun, also when the instance died during it. */
  readonly attempt: number;
  /** How many attempts are charged to the delivery, this one included: all but those that were spared. */
  readonly charged: number;
  /** Aborts when this instance is no longer sure of its claim: then another instance may perform the delivery, too. */
  readonly signal: AbortSignal;

  /** Says that it succeeded. Resolves to whether this attempt still had the claim. So do the next three. */
  complete(): Promise<boolean>;
  /** Says that it failed, and is due again in so many milliseconds. */
  retryIn(ms: number, error: StoredError): Promise<boolean>;
  /** Says that it failed for good: the delivery is a dead letter. */
  bury(error: StoredError): Promise<boolean>;
  /** Says that it was broken off through no fault of its own: it is due at once, and this attempt does not count. */
  release(): Promise<boolean>;
  /**
   * Makes it succeed if the transaction commits. Rejects with a {@link CompletionRefusedError} if this attempt no longer has
   * the claim, so that the transaction must not commit, or has completed it already; with a {@link TransactionRefusedError} as
   * {@link DurableEngine.store} does; and if the engine takes no transactions.
   */
  completeIn(transaction: SqlTransaction): Promise<void>;
}

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

/**
 * The part of an open SQL transaction that an engine needs. Clients of node-postgres and transactions of PGlite have it.
 */
export interface SqlTransaction {
  query(sql: string, params: unknown[]): Promise<{ rows: unknown[] }>;
}
