import type { EngineFactory } from '../engine/engine.js';
import type { WorkHooks } from './work-hooks.js';

/**
 * The changes that a test kit makes to an application. A global module that provides them under {@link EVENTS_TEST_HOOKS},
 * as `Provided`, makes them apply, as `TestEventsModule` of `nestjs-callbacks/testing` does.
 */
export interface EventsTestHooks {
  /** Replaces the engine that the options name. */
  readonly engine?: (configured: EngineFactory | undefined) => EngineFactory | undefined;
  /** What to do where a transaction cannot store deliveries because of the replaced engine. */
  readonly transactionRemedy?: string;
  /** `true`: this application performs durable deliveries, whatever its options say. */
  readonly works?: boolean;
  /** Returns a number from 0 to 1, which replaces chance in the delays of retries. */
  readonly random?: () => number;
  /**
   * Is called when all instances exist, before the first run begins. It is never called for an application that could not
   * be made.
   */
  readonly onComplete?: () => void;
  /** Puts the callbacks of an event in another order than that of the modules. `before` and `after` still hold. */
  readonly arrange?: <T extends { readonly id: string }>(event: string, callbacks: readonly T[]) => readonly T[];
  /** Is within those hooks that watch. */
  readonly around?: WorkHooks;
}

/** The token of {@link EventsTestHooks}, as `Provided`. */
export const EVENTS_TEST_HOOKS = Symbol('EVENTS_TEST_HOOKS');
