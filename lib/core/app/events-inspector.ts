import { callbacksOf, type RegisteredCallback, type RegisteredEvent } from '../callbacks/registered-event.js';
import type { DeliveryWork } from '../delivery/delivery-work.js';
import { providedByHabit } from '../errors/callback-errors.js';
import type { EventKey } from '../events/event-map.js';
import type { DeliveryMode } from '../options/callback.options.js';
import type { Runtime } from '../runs/runtime.js';

/** One callback of the application. */
export interface CallbackDescription {
  /** The event's name, or its class. */
  readonly event: EventKey;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  readonly delivery: DeliveryMode;
  readonly isOptional: boolean;
  /** Whether it is durable and keeps the order of keys. */
  readonly isOrdered: boolean;
  /** Whether another application performs it: it is one of `remote`. */
  readonly isRemote: boolean;
}

/** Tells who answers what in this application, and what it is doing: inject it in tools and test kits. */
export class EventsInspector {
  /** @internal Nest makes it: inject it. */
  constructor(
    private readonly runtime: Runtime,
    private readonly work: DeliveryWork,
  ) {
    if (!runtime) throw providedByHabit(new.target);
  }

  /**
   * All callbacks, event by event, in the order of a run. Empty while Nest still creates the application's instances.
   *
   * @throws what is wrong with them, when they are read for the first time here
   */
  get callbacks(): readonly CallbackDescription[] {
    const { registry } = this.runtime;
    registry.refresh();
    return registry.all.flatMap((event) => callbacksOf(event).map((callback) => describe(event, callback)));
  }

  /** The object by which traces name this application. */
  get application(): object {
    return this.runtime.registry.application;
  }

  /** Whether this instance performs durable deliveries: it does when it has started, unless it was told not to. */
  get isWorking(): boolean {
    return this.work.isWorking;
  }

  /** Whether this instance is the one, of those that work on the application's deliveries, that does what one is enough for. */
  get hasDuty(): boolean {
    return this.runtime.engine.current?.hasDuty ?? false;
  }

  /** Whether nothing is running: no run, no background callback, no durable attempt, nothing that waits for a commit. */
  get isIdle(): boolean {
    return this.runtime.inFlight.isIdle;
  }

  /** The names of all that is running, the oldest first; `(3 times)` behind a name that occurs so often. */
  get running(): readonly string[] {
    return this.runtime.inFlight.waitsFor;
  }

  /** Resolves when nothing is running; with `next`, when what is running, or will be, has ended. */
  whenIdle({ next = false } = {}): Promise<void> {
    const { early, inFlight } = this.runtime;
    early.flush();
    return next ? inFlight.whenNextIdle() : inFlight.whenIdle();
  }
}

const describe = ({ key }: RegisteredEvent, callback: RegisteredCallback): CallbackDescription => ({
  event: key,
  callback: callback.id,
  delivery: callback.delivery,
  isOptional: callback.isOptional,
  isOrdered: callback.durable?.isOrdered ?? false,
  isRemote: callback.durable?.isRemote ?? false,
});
