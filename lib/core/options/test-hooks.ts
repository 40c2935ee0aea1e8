import type { DeliveryMode } from './callback.options.js';
import type { EngineFactory } from '../engine/engine.js';
import type { EventKey } from '../events/event-map.js';

/**
 * What a test kit changes about an application: a global module that provides it under {@link EVENTS_TEST_HOOKS} makes it
 * apply. `TestEventsModule` of `nestjs-callbacks/testing` does; use that, unless you write a kit of your own.
 */
export interface EventsTestHooks {
  /** What stores deliveries, instead of what the options name. */
  readonly engine?: (configured: EngineFactory | undefined) => EngineFactory | undefined;
  /** `true`: this application performs durable deliveries, whatever its options say. */
  readonly works?: boolean;
  /** From 0 to 1: instead of chance, in the delays of retries. */
  readonly random?: () => number;
  /** Is told when all instances exist, before the first run begins; never of an application that could not be made. */
  readonly onComplete?: () => void;
  /** The callbacks of an event in another order than the modules'; `before` and `after` hold whatever it is. */
  readonly arrange?: <T extends { readonly id: string }>(event: string, callbacks: readonly T[]) => readonly T[];
  /** Calls a callback, by `proceed`, or does something else instead, which counts as what the callback did. */
  readonly call?: (callback: CalledCallback, args: readonly unknown[], proceed: () => unknown) => unknown;
}

/** A callback that is about to be called. */
export interface CalledCallback {
  /** The event's name, or its class. */
  readonly event: EventKey;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  readonly delivery: DeliveryMode;
}

/** The token of {@link EventsTestHooks}. */
export const EVENTS_TEST_HOOKS = Symbol('EVENTS_TEST_HOOKS');
