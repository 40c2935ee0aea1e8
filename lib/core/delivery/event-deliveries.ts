import type { CallbackRegistry } from '../callbacks/callback-registry.js';
import type { RegisteredEvent } from '../callbacks/registered-event.js';
import { addressKey } from '../engine/address-name.js';
import type { DeliveryFilter } from '../engine/delivery-filter.js';
import type { DurableEngine } from '../engine/engine.js';
import type { DeliveryCounts, KeptDelivery, LastHour } from '../engine/kept-delivery.js';
import { CursorRefusedError } from '../engine/refusals.js';
import { providedByHabit } from '../errors/callback-errors.js';
import { discardFailed, pausingFailed, retryFailed, textsEncoded } from '../errors/delivery-errors.js';
import type { Checks } from '../options/option-checks.js';
import type { OutsideCalls } from '../reports/outside-calls.js';
import { AskedEngine } from './asked-engine.js';
import type { Coding } from './coding.js';
import type { DeclaredCallbacks } from './declared-callbacks.js';
import { asStored, beyondEvery } from './delivery-filters.js';
import {
  CALLBACK_CHECKS,
  type CallbackSelection,
  cursorInvalid,
  type DeliveriesById,
  type DeliveriesQuery,
  type DeliverySelection,
  DISCARD_CHECKS,
  type DiscardSelection,
  LIST_CHECKS,
  REPEAT_CHECKS,
  SELECTION_CHECKS,
} from './delivery-selection.js';
import { discardPortions, inPortions, type PortionsOptions, retryPortions } from './portions.js';
import { repeatAll } from './repetition.js';
import type { RunningEngine } from './running-engine.js';
import { readArguments } from './stored-arguments.js';

/** Counts the deliveries of one durable callback. */
export interface CallbackDeliveries extends DeliveryCounts {
  /** Whether this instance has the callback. The deliveries of others wait for an instance that does. */
  readonly isKnown: boolean;
}

/** A delivery as it is kept, with the arguments that the callback gets, or would get. */
export type KeptEvent = Omit<KeptDelivery, 'arguments' | 'givenId'> & { readonly arguments: readonly unknown[] };

/** Some of the deliveries that a query means. */
export interface DeliveriesPage {
  readonly found: KeptEvent[];
  /** How many deliveries were looked at, those that did not fit included. */
  readonly scanned: number;
  /** Where the next page begins. Without it there is none. */
  readonly after?: string;
}

/** Of a callback that has nothing. */
const NONE_ENDED: LastHour = { dead: 0, completed: 0, isExact: true };

/** Shows durable deliveries, has dead ones tried again or removed, and pauses callbacks: inject it where you look after them. */
export class EventDeliveries {
  private readonly asked: AskedEngine;

  /** @internal Nest makes it: inject it. */
  constructor(
    private readonly registry: CallbackRegistry,
    running: Pick<RunningEngine, 'isConfigured'>,
    declared: DeclaredCallbacks,
    outsideCalls: OutsideCalls,
    private readonly coding: Coding,
  ) {
    if (!registry) throw providedByHabit(new.target);
    this.asked = new AskedEngine(registry, running, declared, outsideCalls);
  }

  /**
   * Counts the deliveries that are waiting, running and dead, by callback; also those of callbacks that this instance does
   * not have. Where a number may be too small, `isExact` is `false`: an engine may stop counting at 10,000 in a state, and
   * earlier if there are many callbacks with many deliveries. `oldestDueAt` says since when the one of `waiting` is due that
   * has been due for the longest, `pausedSince` since when a callback is paused, and `lastHour` how many have died or were completed
   * within the last hour.
   *
   * @throws EVENTS_ENGINE_MISSING, EVENTS_ENGINE_FAILED, EVENTS_CLOSED; so do the other methods
   */
  async counts(): Promise<CallbackDeliveries[]> {
    const engine = await this.asked.for({ method: 'counts', query: {}, checks: {} });
    const counts = new Map((await engine.counts()).map((count) => [addressKey(count), count]));
    const lastHour = engine.capabilities.search ? { lastHour: NONE_ENDED } : {};
    const nothing = { waiting: 0, delayed: 0, running: 0, dead: 0, isExact: true, ...lastHour };
    const known = this.asked.known.map((address) => counts.get(addressKey(address)) ?? { ...address, ...nothing });
    for (const address of known) counts.delete(addressKey(address));
    return [
      ...known.map((count) => ({ ...count, isKnown: true })),
      ...[...counts.values()].map((count) => ({ ...count, isKnown: false })),
    ];
  }

  /**
   * Lists deliveries in one state with error, arguments and attempts: those that fit every field given, in the order of storing, as
   * far as the engine knows it. Whatever stays in the state while you read all, page by page, is listed once.
   *
   * A page may be short, or empty, though there are more: what no index serves is looked for among so many deliveries as take some
   * milliseconds. Go on with `after`, for as long as a page has it.
   *
   * @example
   * const { found, after } = await this.deliveries.list({ callback: 'Emails.greetNewUser' });
   * const more = await this.deliveries.list({ callback: 'Emails.greetNewUser', after });
   * const refused = await this.deliveries.list({ errorCode: 'ECONNREFUSED', endedAfter: yesterday, order: 'newest' });
   * const waiting = await this.deliveries.list({ callback: 'Emails.greetNewUser', ids: [id], state: 'waiting' });
   *
   * @throws EVENTS_QUERY_INVALID; EVENTS_ENGINE_UNSUITED if the engine can list by event, callback and ids only
   */
  async list(query: DeliveriesQuery = {}): Promise<DeliveriesPage> {
    const { engine, query: asked } = await this.ask('list', query, LIST_CHECKS);
    const { state = 'dead', limit = 100, ...rest } = asked;
    const { found, ...page } = await engine.list({ ...rest, state, limit }).catch((error: unknown) => {
      throw error instanceof CursorRefusedError ? cursorInvalid(query.after) : error;
    });
    return { ...page, found: found.map((delivery) => this.shown(delivery)) };
  }

  /**
   * Has dead deliveries tried again, at once and with all their attempts before them: those that fit every field given, in
   * portions. Resolves to their number. One that dies again meanwhile stays dead. With `{}` it retries all. A field that is
   * there, but `undefined`, is refused: whatever it was to leave out would be retried, too.
   *
   * @example
   * await this.deliveries.retry({ callback: dead.callback, ids: [dead.id] });
   * await this.deliveries.retry({ callback: 'Emails.greetNewUser', errorText: 'the mail server is down' });
   * await this.deliveries.retry({}, { onProgress: (done) => this.logger.log(`${done} retried`), signal });
   *
   * @throws EVENTS_QUERY_INVALID; EVENTS_ENGINE_UNSUITED as `list()`; EVENTS_ENGINE_FAILED says how many were done
   */
  async retry(selection: DeliverySelection, watching: PortionsOptions = {}): Promise<number> {
    const { engine, query } = await this.ask('retry', selection, SELECTION_CHECKS, watching);
    return inPortions(watching, retryPortions(engine, query), (done, cause) => retryFailed(engine.name, done, cause));
  }

  /**
   * Removes deliveries for good: dead ones, or waiting ones that are not to happen any more, which fit every field given. One field
   * at least must be. It does so in portions. Running ones are left alone. Resolves to the number removed.
   *
   * @example
   * await this.deliveries.discard({ callback: dead.callback, ids: [dead.id] });
   * await this.deliveries.discard({ state: 'dead', endedBefore: lastYear });
   *
   * @throws EVENTS_QUERY_INVALID; EVENTS_ENGINE_UNSUITED as `list()`; EVENTS_ENGINE_FAILED says how many were done
   */
  async discard(selection: DiscardSelection, watching: PortionsOptions = {}): Promise<number> {
    const { engine, query } = await this.ask('discard', selection, DISCARD_CHECKS, watching);
    return inPortions(watching, discardPortions(engine, query), (done, cause) =>
      discardFailed(engine.name, done, cause),
    );
  }

  /**
   * Has completed deliveries performed again, those of one callback alone. Each is stored anew, with its arguments, its headers and its
   * key, under an id that names the old one; its `causation-id` is the old one. Resolves to the new ids. What is not completed, or was
   * completed so long ago that the engine has forgotten it (`keepCompletedMs`), is passed over.
   *
   * @example
   * const [again] = await this.deliveries.repeat({ callback: 'Invoices.send', ids: [id] });
   *
   * @throws EVENTS_QUERY_INVALID, EVENTS_ENGINE_UNSUITED; EVENTS_ENGINE_FAILED says how many were done
   */
  async repeat(selection: DeliveriesById): Promise<string[]> {
    const asked = { method: 'repeat', query: selection, checks: REPEAT_CHECKS, needs: 'search' as const };
    const engine = await this.asked.for(asked);
    return repeatAll(engine, asStored('repeat', selection), this.asked.known);
  }

  /**
   * Pauses callbacks: those that fit every field given, or with `{}` all that the store knows now. Within a second no instance
   * begins any of their deliveries, until they are resumed, whatever is restarted meanwhile. What runs goes on; what waits
   * keeps its place, and nothing is charged. Resolves to how many callbacks this has paused. A field that is there, but
   * `undefined`, is refused: whatever it was to leave out would be paused, too.
   *
   * @example
   * await this.deliveries.pause({ callback: 'Emails.greetNewUser' });
   *
   * @throws EVENTS_QUERY_INVALID, EVENTS_ENGINE_UNSUITED
   */
  pause(selection: CallbackSelection): Promise<number> {
    return this.askFor('pause', selection);
  }

  /**
   * Has all instances go on with paused callbacks, at once. Resolves to how many callbacks this has resumed.
   *
   * @example
   * await this.deliveries.resume({ callback: 'Emails.greetNewUser' });
   *
   * @throws EVENTS_QUERY_INVALID, EVENTS_ENGINE_UNSUITED
   */
  resume(selection: CallbackSelection): Promise<number> {
    return this.askFor('resume', selection);
  }

  private async askFor(method: 'pause' | 'resume', query: CallbackSelection): Promise<number> {
    const engine = await this.asked.for({ method, query, checks: CALLBACK_CHECKS, needs: 'pause' });
    return engine[method]!(query).catch((cause: unknown) => {
      throw pausingFailed(engine.name, method, cause);
    });
  }

  /** Answers with the engine, and with what is asked of it in the words of its port. */
  private async ask<Query extends DeliveryFilter>(
    method: 'list' | 'retry' | 'discard',
    query: Query,
    checks: Checks,
    watching: PortionsOptions = {},
  ): Promise<{ engine: DurableEngine; query: Query }> {
    if (query?.errorText !== undefined && this.coding.isOn) throw textsEncoded(method);
    const beyond = beyondEvery(method, query ?? {});
    const needs = beyond === undefined ? {} : { needs: 'search' as const, asking: beyond };
    const engine = await this.asked.for({ method, query, checks, watching, ...needs });
    return { engine, query: asStored(method, query) };
  }

  private shown({ givenId, ...delivery }: KeptDelivery): KeptEvent {
    const error = delivery.error && this.coding.decodeError(delivery.error);
    const history = delivery.history?.map((entry) => ({ ...entry, message: this.coding.decodeMessage(entry.message) }));
    return {
      ...delivery,
      id: givenId ?? delivery.id,
      arguments: this.argumentsOf(delivery),
      ...(error && { error }),
      ...(history && { history }),
    };
  }

  private argumentsOf({ event, arguments: stored }: KeptDelivery): readonly unknown[] {
    const known: RegisteredEvent | undefined = this.registry.durable.find(({ label }) => label === event);
    try {
      const args = this.coding.decodeArguments(event, stored);
      return readArguments(event, args, typeof known?.key === 'function' ? known.key : undefined);
    } catch {
      return stored;
    }
  }
}
