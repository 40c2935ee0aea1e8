import type { ArgumentsHost } from '@nestjs/common';
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

const calls = new WeakMap<Function, Omit<EventHost, 'arguments'>>();

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
 * seen. It carries the method's metadata, so that `Reflector` finds it: that of an override, else that of the method below.
 */
export function handlerOf(event: EventKey, id: string, prototype: object, method: string | symbol): Handler {
  const handler: Handler = function (...args) {
    return this[method](...args);
  };
  Object.defineProperty(handler, 'name', { value: typeof method === 'string' ? method : method.description });
  for (let at: object | null = prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    const declared = Object.getOwnPropertyDescriptor(at, method)?.value as Function | undefined;
    if (typeof declared !== 'function') continue;
    for (const key of Reflect.getOwnMetadataKeys(declared)) {
      if (!Reflect.hasOwnMetadata(key, handler)) {
        Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, declared), handler);
      }
    }
  }
  calls.set(handler, { event, callback: id });
  return handler;
}
