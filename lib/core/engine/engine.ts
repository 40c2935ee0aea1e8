import type { StoredError } from '../errors/stored-error.js';

/**
 * What stores durable deliveries and brings each to an instance that works on it. An application has one, made anew
 * by {@link EngineFactory} each time it starts; instances of an application in other processes share what it stores.
 *
 * The rules below are for whoever writes one. `engineContract()` of `nestjs-callbacks/testing` checks them.
 *
 * - Nothing is lost: what {@link store} has resolved for is performed until it is settled, whatever dies in between.
 *   Waiting and dead deliveries stay until somebody removes them.
 * - At least once: a delivery may be performed again when its instance died, or was cut off from the engine for longer
 *   than a claim lasts. While its instance lives and is heard from, nobody else performs it, however long it takes.
 * - Each delivery is on its own: one that fails, waits or hangs holds up no other, except in order (below).
 * - In order: an ordered callback gets the deliveries of one key one at a time, in the order in which they were stored,
 *   retries included: the next comes when the one before is completed or discarded. Stored by transactions that overlap,
 *   they come in the order in which the transactions stored their first of that key. A delayed one takes its place when
 *   its delay is over.
 */
export interface DurableEngine {
  /** As messages name it: `'Postgres'`. */
  readonly name: string;
  /** What it can do beyond storing and working; an application that needs what is missing does not start. */
  readonly capabilities: EngineCapabilities;

  /**
   * Connects, and makes what it keeps its deliveries in. Called once, before anything else. Several instances may
   * start on an empty store at the same moment. A rejection fails the start of the application with its message.
   */
  start(host: EngineHost): Promise<void>;

  /**
   * Makes room for callbacks; called before anything is stored for them, by every instance, and again when a module
   * loaded later brings more. What waits, or is dead, under a former id of a callback becomes its own, now and
   * later, as an older instance may still store it.
   */
  declare(callbacks: readonly DurableCallback[]): Promise<void>;

  /**
   * Stores deliveries, all or none; with a transaction, in it: they are there when it commits, and only then. An id that
   * was stored for the same callback already is passed over, and leaves the transaction usable. A transaction that is over,
   * or of another database, is refused with a {@link TransactionRefusedError}.
   *
   * A rejection means that none is stored. Where that is not known, say when the connection broke before the answer,
   * reject with an {@link UnknownOutcomeError}. Either must come within seconds, also from a server that is frozen.
   */
  store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void>;

  /**
   * From now on has `perform` perform the deliveries of a declared callback, at most `concurrency` at a time in this
   * instance: an attempt counts until it calls `complete()`, or else until `perform` resolves. `perform` never rejects.
   */
  work(callback: DurableCallback, perform: (attempt: EngineAttempt) => Promise<void>): void;

  /** Takes no more attempts. Resolves when none can come any more; those under way go on, and settle as before. */
  stopWorking(): Promise<void>;

  /**
   * Gives up all connections; called last, and also when `start()` failed. What is not settled by then comes back, on
   * another instance, when the claim on it has run out.
   */
  stop(): Promise<void>;

  /** How many deliveries there are at each address that has any, also of callbacks that this instance does not know. */
  counts(): Promise<readonly DeliveryCounts[]>;

  /**
   * Deliveries in any of these states as of one moment, in the order of their ids: by default, that of storing. One that
   * goes from one of the states to another meanwhile is among them, once.
   */
  list(query: DeliveryQuery): Promise<readonly KeptDelivery[]>;

  /** Makes dead deliveries wait again, due now, with all their attempts before them. Resolves to how many there were. */
  retry(filter: DeliveryFilter): Promise<number>;

  /** Removes deliveries that are waiting or dead. Resolves to how many there were. */
  discard(filter: DeliveryFilter): Promise<number>;
}

/** Makes an application's engine; what `postgres()` and its like return. */
export type EngineFactory = () => DurableEngine;

export interface EngineCapabilities {
  /** `store()` and `completeIn()` take an SQL transaction. */
  readonly transactions: boolean;
  /** It keeps the order of ordered callbacks. */
  readonly order: boolean;
}

/** What an engine tells the application that started it. */
export interface EngineHost {
  /** Worth knowing, in a line of the log. */
  log(message: string): void;
  /** Something that somebody should look at, though it goes on. */
  warn(message: string): void;
  /** Something failed that nobody waits for. */
  report(what: string, error: unknown): void;
}

/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Where a delivery goes. */
export interface DeliveryAddress {
  /** The event's name, or its class's name. */
  readonly event: string;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
}

/** What an engine knows of a durable callback. */
export interface DurableCallback extends DeliveryAddress {
  /** Ids that the callback had before. */
  readonly formerly: readonly string[];
  readonly isOrdered: boolean;
  /** How many attempts an instance makes at the same time. */
  readonly concurrency: number;
}

export interface Delivery extends DeliveryAddress {
  /** A UUID, by default of version 7. One run has one for all its callbacks: it is unique within an address. */
  readonly id: string;
  /** What the order is kept by, for ordered callbacks always there. */
  readonly key?: string;
  readonly arguments: readonly Json[];
}

/** A delivery to be stored. */
export interface NewDelivery extends Delivery {
  /** From when it is stored, or from when its transaction began, until it is due. */
  readonly delayMs: number;
}

/** One go at a delivery. The one who performs it settles it by one of these; whichever comes first counts. */
export interface EngineAttempt {
  readonly delivery: Delivery;
  /** 1 for the first. It grows with each attempt that was begun, also when the instance died during it. */
  readonly attempt: number;
  /** Aborts when the claim is no longer sure to be held: then another instance may perform the delivery too. */
  readonly signal: AbortSignal;

  /** It succeeded. Resolves to whether this attempt still held the claim. So do the next three. */
  complete(): Promise<boolean>;
  /** It failed, and is due again in so many milliseconds. */
  retryIn(ms: number, error: StoredError): Promise<boolean>;
  /** It failed for good: a dead letter. */
  bury(error: StoredError): Promise<boolean>;
  /** It was broken off through no fault of its own: due at once, and this attempt does not count. */
  release(): Promise<boolean>;
  /**
   * It succeeds if the transaction commits. Rejects if the claim is no longer held, so that the transaction must not
   * commit, and if the engine takes no transactions.
   */
  completeIn(transaction: SqlTransaction): Promise<void>;
}

/** `waiting` for its time or its turn; `running`; or `dead`, having failed for good. */
export type DeliveryState = 'waiting' | 'running' | 'dead';

export interface DeliveryCounts extends DeliveryAddress {
  /** Due, or held up by an earlier one of its key. */
  readonly waiting: number;
  /** Waiting for its time: delayed, or to be tried again. */
  readonly delayed: number;
  readonly running: number;
  readonly dead: number;
}

/** A delivery as it lies in the store. */
export interface KeptDelivery extends Delivery {
  readonly state: DeliveryState;
  /** How many attempts have begun. */
  readonly attempts: number;
  readonly storedAt: Date;
  /** From when it may be performed; of a dead one, when it died. */
  readonly since: Date;
  /** What the last attempt failed with. */
  readonly error?: StoredError;
}

/** Which deliveries: all that fit every field given. */
export interface DeliveryFilter {
  readonly event?: string;
  readonly callback?: string;
  readonly ids?: readonly string[];
}

export interface DeliveryQuery extends DeliveryFilter {
  readonly states: readonly DeliveryState[];
  readonly limit: number;
  /** Continue after this one, the last of the page before. */
  readonly after?: Pick<Delivery, 'id' | 'event' | 'callback'>;
}

/** The part of an open SQL transaction that an engine needs: node-postgres' clients and PGlite's transactions have it. */
export interface SqlTransaction {
  query(sql: string, params: unknown[]): Promise<{ rows: unknown[] }>;
}

/** What an engine rejects with when it cannot know whether the deliveries are stored. */
export class UnknownOutcomeError extends Error {
  override readonly name = 'UnknownOutcomeError';
}

/** What `store()` rejects with when deliveries cannot be stored in a transaction; that is left as it was. */
export class TransactionRefusedError extends Error {
  override readonly name = 'TransactionRefusedError';

  /** @param reason it has ended, or is none; or it is one of another database */
  constructor(
    readonly reason: 'over' | 'foreign',
    options?: ErrorOptions,
  ) {
    super(reason === 'over' ? 'no transaction is open there' : 'that is a transaction of another database', options);
  }
}
