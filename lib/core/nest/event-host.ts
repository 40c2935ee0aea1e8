import type { ArgumentsHost } from '@nestjs/common';
import { shared } from '../copies/shared.js';
import type { EventKey } from '../events/event-map.js';

/** Tells guards, interceptors and filters of a callback about the call. */
export interface EventHost {
  /** The event's name, or its class. */
  readonly event: EventKey;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  /** The arguments that the callback is called with. */
  readonly arguments: readonly unknown[];
}

type Handler = (this: Record<string | symbol, (...args: unknown[]) => unknown>, ...args: unknown[]) => unknown;

const calls = shared('handlers', () => new WeakMap<Function, Omit<EventHost, 'arguments'>>());

/**
 * Returns the event behind an execution context whose `getType()` is `'event'`, and `undefined` for any other context, so
 * that one guard can serve controllers and callbacks.
 *
 * @example
 * canActivate(context: ExecutionContext) {
 *   const call = switchToEvent(context);
 *   return call ? call.event === 'user_joined' : this.allows(context.switchToHttp().getRequest());
 * }
 */
export function switchToEvent(host: ArgumentsHost & { getHandler?(): Function }): EventHost | undefined {
  const handler = host.getHandler?.();
  const call = handler && calls.get(handler);
  return call && { ...call, arguments: host.getArgs() };
}

/**
 * Makes the function that Nest knows as the handler of a callback. It looks the method up on each call, so that spies are
 * seen. It carries the method's metadata, so that `Reflector` finds it.
 */
export function handlerOf({ event, id, method }: HandledCallback, metadata: ReadonlyMap<unknown, unknown>): Handler {
  const handler: Handler = function (...args) {
    return this[method](...args);
  };
  Object.defineProperty(handler, 'name', { value: typeof method === 'string' ? method : method.description });
  for (const [key, value] of metadata) Reflect.defineMetadata(key, value, handler);
  calls.set(handler, { event, callback: id });
  return handler;
}

interface HandledCallback {
  readonly event: EventKey;
  readonly id: string;
  readonly method: string | symbol;
}
