import type { DeliveryMode } from '../options/callback.options.js';
import type { EventKey } from '../events/event-map.js';
import type { EventsCore } from './shutdown.js';
import { callbacksOf, type RegisteredCallback, type RegisteredEvent } from '../callbacks/registered-event.js';

/** One callback of the application. */
export interface CallbackDescription {
  /** The event's name, or its class. */
  readonly event: EventKey;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  readonly delivery: DeliveryMode;
  readonly isOptional: boolean;
  /** Of a durable one: whether it keeps the order of keys. */
  readonly isOrdered: boolean;
}

/** Who answers what in this application, and what it is doing: inject it in tools and test kits. */
export class EventsInspector {
  /** Nest makes it: inject it. */
  constructor(private readonly core: EventsCore) {}

  /**
   * All callbacks, event by event, in the order of a run. Empty while Nest still creates the application's instances.
   *
   * @throws what is wrong with them, when they are read for the first time here
   */
  get callbacks(): readonly CallbackDescription[] {
    this.core.registry.refresh();
    return this.core.registry.all.flatMap((event) => callbacksOf(event).map((callback) => describe(event, callback)));
  }

  /** What traces name this application by. */
  get application(): object {
    return this.core.registry.application;
  }

  /** Whether this instance performs durable deliveries: it does when it has started, unless it was told not to. */
  get isWorking(): boolean {
    return this.core.engine.isWorking;
  }

  /** Whether nothing is running: no run, no background callback, no durable attempt, nothing that waits for a commit. */
  get isIdle(): boolean {
    return this.core.inFlight.isIdle;
  }

  /** What is running, by name, the oldest first; `(3 times)` behind a name that occurs so often. */
  get running(): readonly string[] {
    return this.core.inFlight.waitsFor;
  }

  /** Resolves when nothing is running; with `next`, when what is running, or will be, has ended. */
  whenIdle({ next = false } = {}): Promise<void> {
    this.core.early.flush();
    return next ? this.core.inFlight.whenNextIdle() : this.core.inFlight.whenIdle();
  }
}

const describe = ({ key }: RegisteredEvent, callback: RegisteredCallback): CallbackDescription => ({
  event: key,
  callback: callback.id,
  delivery: callback.delivery,
  isOptional: callback.isOptional,
  isOrdered: callback.durable?.isOrdered ?? false,
});
