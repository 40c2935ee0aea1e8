import type { EventHeaders } from '../events/event-headers.js';
import type { EventKey } from '../events/event-map.js';
import type { DeliveryMode } from './callback.options.js';

/**
 * What is around the work of an application. Each hook is called with a part of the work, does it by `proceed`, and returns what that
 * returns; or does something else, whose outcome then counts. A hook that is absent costs nothing. It may come and go: all but `call`,
 * which is read when callbacks are found.
 *
 * A global module that provides them under {@link EVENTS_WORK_HOOKS}, as `Provided`, has them apply.
 */
export interface WorkHooks {
  /** Is around a run, from the check of its arguments on. `proceed` may throw at once. */
  readonly run?: (run: HookedRun, proceed: () => Promise<unknown>) => Promise<unknown>;
  /** Is around the storing of a run's deliveries. */
  readonly store?: (stored: HookedStoring, proceed: () => Promise<void>) => Promise<void>;
  /** Is around an attempt at a delivery. `proceed` resolves when the callback is through, however that ended. */
  readonly attempt?: (attempt: HookedAttempt, proceed: () => Promise<void>) => Promise<void>;
  /** Is around the call of a callback; of a durable one, within the attempt. */
  readonly call?: (call: HookedCall, proceed: () => unknown) => unknown;
}

/** A run that is about to begin. */
export interface HookedRun {
  /** The event's name, or its class's name. */
  readonly event: string;
}

/** Deliveries that are about to be stored. */
export interface HookedStoring {
  readonly event: string;
  /** The id that they share. */
  readonly id: string;
  readonly callbacks: readonly string[];
  /** Are stored as they are when `proceed` is called. */
  readonly headers: Record<string, string>;
  /**
   * Calls back when they are there for good: at once, or when the transaction commits that has stored them, if anybody sees
   * that. To be called once they are stored.
   */
  whenKept(tell: () => void): void;
}

/** An attempt that is about to be made. */
export interface HookedAttempt {
  readonly event: string;
  readonly callback: string;
  /** The id of the delivery. */
  readonly id: string;
  /** 1 for the first. */
  readonly attempt: number;
  readonly headers: EventHeaders;
  /**
   * Calls back when it is decided what becomes of the delivery, while the callback may still run: as soon as the engine has
   * answered, or in a second.
   *
   * @param tell is told when that was, too, by `performance.now()`
   */
  whenDecided(tell: (outcome: AttemptOutcome, at: number) => void): void;
}

/** How an attempt has ended. */
export type AttemptOutcome =
  | { readonly status: 'completed' | 'released' }
  | { readonly status: 'postponed'; readonly ms: number }
  /** Another instance may perform the delivery, too: the claim on it had run out. */
  | { readonly status: 'lost'; readonly error: unknown }
  /** Without `retryInMs` it is dead. */
  | { readonly status: 'failed'; readonly error: unknown; readonly retryInMs?: number };

/** A callback that is about to be called. */
export interface HookedCall {
  /** The event's name, or its class. */
  readonly event: EventKey;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  readonly delivery: DeliveryMode;
  readonly args: readonly unknown[];
}

/** The token of {@link WorkHooks}, as `Provided`. */
export const EVENTS_WORK_HOOKS = Symbol('EVENTS_WORK_HOOKS');

const NONE: WorkHooks = Object.freeze({});

/** The hooks of both, one within the other. */
export function nestedHooks(outer: WorkHooks = NONE, inner: WorkHooks = NONE): WorkHooks {
  if (inner === NONE) return outer;
  if (outer === NONE) return inner;
  return {
    get run() {
      return nested(outer.run, inner.run);
    },
    get store() {
      return nested(outer.store, inner.store);
    },
    get attempt() {
      return nested(outer.attempt, inner.attempt);
    },
    get call() {
      return nested(outer.call, inner.call);
    },
  };
}

function nested<What, Result>(
  around: ((what: What, proceed: () => Result) => Result) | undefined,
  within: ((what: What, proceed: () => Result) => Result) | undefined,
) {
  if (!around || !within) return around ?? within;
  return (what: What, proceed: () => Result) => around(what, () => within(what, proceed));
}
