import { awaitable } from '../async/promises.js';
import type { InstanceScope } from '../nest/instance-scope.js';
import { type CallbackTrace, callbackChannel, callbackWatch, traced, tracedRun } from '../reports/traces.js';
import type { RegisteredCallback, RegisteredEvent } from './registered-event.js';

/**
 * Looks the method up on each call, so that a spy set after boot is seen. A fixed number of arguments is a third
 * faster than spreading them, for which there is no limit either.
 *
 * @param scope must be there when the event `isScoped`
 */
export function call(
  callback: RegisteredCallback,
  args: readonly unknown[],
  scope: InstanceScope | undefined,
): unknown {
  if (callback.invoke) return callback.invoke(args, scope!);
  const { target, method } = callback;
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

/** The fields by which the trace of a durable attempt says which it is. */
type TracedAttempt = Pick<CallbackTrace, 'id' | 'attempt'>;

/** {@link call}, told to the subscribers of the diagnostics channel. */
export function callTraced(
  callback: RegisteredCallback,
  event: RegisteredEvent,
  args: readonly unknown[],
  scope: InstanceScope | undefined,
  attempt?: TracedAttempt,
): unknown {
  const run = attempt ? undefined : tracedRun();
  const trace: CallbackTrace = {
    event: event.label,
    eventKey: event.key,
    application: event.application,
    arguments: [...args],
    callback: callback.id,
    delivery: callback.delivery,
    ...attempt,
    ...(run && { run }),
  };
  return traced(callbackChannel, trace, () => call(callback, args, scope));
}

/** {@link call}, told to those subscribers if there are any. Returns a thenable when there is something to await. */
export function callAndTrace(
  callback: RegisteredCallback,
  event: RegisteredEvent,
  args: readonly unknown[],
  scope: InstanceScope | undefined,
  attempt?: TracedAttempt,
): unknown {
  const result = callbackWatch.isOn ? callTraced(callback, event, args, scope, attempt) : call(callback, args, scope);
  return awaitable(result) ?? result;
}
