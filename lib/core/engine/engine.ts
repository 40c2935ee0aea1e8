import type { DeliveryAddress, DurableCallback, KnownAddress, NewDelivery } from './delivery.js';
import type { EngineAttempt } from './engine-attempt.js';
import type { EngineHost } from './engine-host.js';
import type { DeliveryFilter } from './delivery-filter.js';
import type { DeliveryPage, DeliveryQuery } from './delivery-query.js';
import type { DeliveryCounts } from './kept-delivery.js';
import type { DiscardedPortion, DiscardPortion, RetriedPortion, RetryPortion } from './retry-portion.js';
import type { SqlTransaction } from './sql-transaction.js';

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
 * - Within limits, if it has the capability: of a callback that has some, no more attempts begin, over all instances, than its
 *   rate lets in any window, and no more run at once; and so of each group. What runs is what is claimed, under former ids and by
 *   older instances, too. A full group holds up no other. What a limit holds up is not charged, and begins within a second of
 *   when the limit lets it.
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
   * Counts the deliveries at each address that has any or is paused, also of callbacks that this instance does not know. It may stop
   * where there are more than 10,000 in a state, and earlier if there are many such addresses, so that it takes no longer:
   * then there are at least so many, and `isExact` is `false`.
   */
  counts(): Promise<readonly DeliveryCounts[]>;

  /**
   * Lists the deliveries that are in one state, a page at a time, in the store's own order: the order of storing, as far as
   * it knows that. Whatever stays in the state while all of it is read, page after page, is listed once; what enters or
   * leaves it meanwhile may be missing. A page holds at most `limit`, and may hold fewer, though there are more: where no index
   * serves what a filter asks for, one call looks at so many deliveries as take some milliseconds, and says where to go on. Only a
   * page without `after` is the last. Rejects with a {@link CursorRefusedError} if `after` is no cursor of such a list.
   */
  list(query: DeliveryQuery): Promise<DeliveryPage>;

  /**
   * Makes dead deliveries wait again, due now, with all their attempts before them: a portion of those that the filter
   * means, which the caller asks for until there is no more. A portion may be of none, as a page may. One that dies again meanwhile
   * is not retried again by the same series of portions. The filter has at most 1,000 ids.
   */
  retry(filter: DeliveryFilter, portion: RetryPortion): Promise<RetriedPortion>;

  /**
   * Removes deliveries that are waiting or dead: a portion of those that the filter means, in the same way. An engine that does not
   * `search` is always given ids. The filter has at most 1,000 of them, and all of these are done by one portion, unless the filter
   * says more.
   */
  discard(filter: DeliveryFilter, portion: DiscardPortion): Promise<DiscardedPortion>;

  /**
   * Pauses the callbacks that the filter means, of all that the store knows: from a second later on no instance begins anything
   * of theirs, until they are resumed. What runs goes on, and settles as ever. What waits keeps its place, and nothing is charged.
   * It is kept in the store. A callback that is paused already stays so since when it was. One that is declared for the first time
   * is paused if the one is that had one of its former ids. Resolves to how many callbacks this has paused.
   */
  pause?(filter: Partial<DeliveryAddress>): Promise<number>;

  /** Has the instances go on with paused callbacks, at once. Resolves to how many this has resumed. */
  resume?(filter: Partial<DeliveryAddress>): Promise<number>;
}

/** Makes an application's engine. `postgres()` and its like return one of these. */
export type EngineFactory = () => DurableEngine;

export interface EngineCapabilities {
  /** `store()` and `completeIn()` take an SQL transaction. */
  readonly transactions: boolean;
  /** It keeps the order of ordered callbacks. */
  readonly order: boolean;
  /** Attempts can be postponed. */
  readonly postponing?: boolean;
  /**
   * It has `pause()` and `resume()`. What is asked of these once it has started may hang on the store.
   * @default false
   */
  readonly pause?: boolean;
  /**
   * `list()`, `retry()` and `discard()` take every field of a {@link DeliveryFilter}, `list()` the newest first and completed ones
   * too, and `discard()` a filter without ids. `counts()` tells what has ended within the last hour.
   */
  readonly search?: boolean;
  /** It keeps the last ten failures of each delivery, apart from its arguments, and lists them. */
  readonly history?: boolean;
  /** It keeps the limits of callbacks, but for those of groups. @default false */
  readonly limits?: boolean;
  /** It keeps the limits of groups, too. @default false */
  readonly groups?: boolean;
}
