import type { Delivery } from './callback.options.js';
import { type CallbackTrace, callbackChannel } from './diagnostics.js';
import type { EventDefinition } from './event-definition.js';
import type { EventKey } from './event-map.js';

/** A method that answers an event, bound to the instance that Nest made. */
export interface RegisteredCallback {
  readonly id: string;
  readonly delivery: Delivery;
  readonly isOptional: boolean;
  readonly target: Record<string | symbol, (...args: unknown[]) => unknown>;
  readonly method: string | symbol;
}

/** An event, and what answers it: `inline`, then `background`, each in order. */
export interface RegisteredEvent {
  readonly key: EventKey;
  /** The event as messages and logs name it. */
  readonly label: string;
  /** Present when its arguments are checked by schemas. */
  readonly definition?: EventDefinition<string, unknown[], unknown[]>;
  readonly inline: readonly RegisteredCallback[];
  readonly background: readonly RegisteredCallback[];
}

/**
 * Looks the method up on each call, so that a spy set after boot is seen. A fixed number of arguments is a third
 * faster than spreading them, for which there is no limit either.
 */
export function call({ target, method }: RegisteredCallback, args: readonly unknown[]): unknown {
  switch (args.length) {
    case 0:
      return target[method]();
    case 1:
      return target[method](args[0]);
    case 2:
      return target[method](args[0], args[1]);
    case 3:
      return target[method](args[0], args[1], args[2]);
    default:
      return target[method](...args);
  }
}

/** {@link call}, told to the subscribers of the diagnostics channel when there are any. */
export function perform(callback: RegisteredCallback, event: RegisteredEvent, args: readonly unknown[]): unknown {
  return callbackChannel.hasSubscribers ? callTraced(callback, event, args) : call(callback, args);
}

/** {@link call}, told to the subscribers of the diagnostics channel. */
export function callTraced(callback: RegisteredCallback, event: RegisteredEvent, args: readonly unknown[]): unknown {
  const trace: CallbackTrace = {
    event: event.label,
    arguments: args,
    callback: callback.id,
    delivery: callback.delivery,
  };
  return callbackChannel.tracePromise(() => call(callback, args) as Promise<unknown>, trace);
}
