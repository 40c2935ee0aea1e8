import type { DeliveryMode } from '../options/callback.options.js';
import { type CallbackTrace, callbackChannel, callbackWatch, traced, tracedRun } from '../reports/traces.js';
import type { CompleteDurableOptions } from '../options/durable.options.js';
import type { EventDefinition } from '../events/event-definition.js';
import type { EventKey } from '../events/event-map.js';
import type { RunScope } from '../nest/instance-scope.js';
import { awaitable } from '../async/promises.js';

/** A method that answers an event, bound to the instance that Nest made. */
export interface RegisteredCallback {
  readonly id: string;
  readonly delivery: DeliveryMode;
  readonly isOptional: boolean;
  readonly target: Record<string | symbol, (...args: unknown[]) => unknown>;
  readonly method: string | symbol;
  /** How to call it when it takes more than that: an instance of the run's own, or guards before it. */
  readonly invoke?: (args: readonly unknown[], scope: RunScope) => unknown;
  /** How its deliveries are worked on, if it is durable. */
  readonly durable?: DurableSettings;
}

export interface DurableSettings extends CompleteDurableOptions {
  readonly isOrdered: boolean;
  readonly formerly: readonly string[];
}

/** An event, and what answers it: `inline`, then `durable`, then `held`, then `background`, each in order. */
export interface RegisteredEvent {
  readonly key: EventKey;
  /** The event as messages and logs name it. */
  readonly label: string;
  /** What traces name its application by. */
  readonly application: object;
  /** Present when its arguments are checked by schemas. */
  readonly definition?: EventDefinition<string, unknown[], unknown[]>;
  readonly inline: readonly RegisteredCallback[];
  readonly durable: readonly RegisteredCallback[];
  /** Those that wait for the end of the transaction. */
  readonly held: readonly RegisteredCallback[];
  readonly background: readonly RegisteredCallback[];
  /** Whether any of them needs a {@link RunScope}. */
  readonly isScoped: boolean;
  /** What is wrong with callbacks that a lazily loaded module brought: the event is refused, and no other. */
  readonly problem?: unknown;
  /** Neither schemas, nor durable or held callbacks, nor a problem. */
  readonly isPlain: boolean;
}

/** All callbacks of an event, in the order of a run. */
export const callbacksOf = ({ inline, durable, held, background }: RegisteredEvent): readonly RegisteredCallback[] => [
  ...inline,
  ...durable,
  ...held,
  ...background,
];

/**
 * Looks the method up on each call, so that a spy set after boot is seen. A fixed number of arguments is a third
 * faster than spreading them, for which there is no limit either.
 *
 * @param scope must be there when the event `isScoped`
 */
export function call(callback: RegisteredCallback, args: readonly unknown[], scope: RunScope | undefined): unknown {
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

/** What a trace says of a durable attempt besides. */
type TracedAttempt = Pick<CallbackTrace, 'id' | 'attempt'>;

/** {@link call}, told to the subscribers of the diagnostics channel. */
export function callTraced(
  callback: RegisteredCallback,
  event: RegisteredEvent,
  args: readonly unknown[],
  scope: RunScope | undefined,
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

/** {@link call}, told to those subscribers if there are any; returns a thenable when there is something to await. */
export function perform(
  callback: RegisteredCallback,
  event: RegisteredEvent,
  args: readonly unknown[],
  scope: RunScope | undefined,
  attempt?: TracedAttempt,
): unknown {
  const result = callbackWatch.isOn ? callTraced(callback, event, args, scope, attempt) : call(callback, args, scope);
  return awaitable(result) ?? result;
}
