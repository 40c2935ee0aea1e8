import type { CallbackLimits } from '../engine/limits.js';
import type { EventDefinition } from '../events/event-definition.js';
import type { EventKey } from '../events/event-map.js';
import type { InstanceScope } from '../nest/instance-scope.js';
import type { DeliveryMode } from '../options/callback.options.js';
import type { CompleteDurableOptions } from '../options/durable.options.js';

/** A method that answers an event, bound to the instance that Nest made. */
export interface RegisteredCallback {
  readonly id: string;
  readonly delivery: DeliveryMode;
  readonly isOptional: boolean;
  readonly target: Record<string | symbol, (...args: unknown[]) => unknown>;
  readonly method: string | symbol;
  /** Calls it where a call of the method is not enough: on an instance of the run's own, or through guards. */
  readonly invoke?: (args: readonly unknown[], scope: InstanceScope) => unknown;
  /** How its deliveries are worked on, if it is durable. */
  readonly durable?: DurableSettings;
}

/** A callback whose deliveries are stored. */
export interface RegisteredDurable extends RegisteredCallback {
  readonly durable: DurableSettings;
}

export interface DurableSettings extends CompleteDurableOptions {
  readonly isOrdered: boolean;
  readonly formerly: readonly string[];
  /** Over all instances. */
  readonly limits?: CallbackLimits;
  /** Another application performs them. */
  readonly isRemote: boolean;
}

/** An event and the callbacks that answer it: `inline`, then `durable`, then `held`, then `background`, each in order. */
export interface RegisteredEvent {
  readonly key: EventKey;
  /** The event as messages and logs name it. */
  readonly label: string;
  /** The object by which traces name its application. */
  readonly application: object;
  /** Present when its arguments are checked by schemas. */
  readonly definition?: EventDefinition<string, unknown[], unknown[]>;
  readonly inline: readonly RegisteredCallback[];
  readonly durable: readonly RegisteredDurable[];
  /** The callbacks that wait for the end of the transaction. */
  readonly held: readonly RegisteredCallback[];
  readonly background: readonly RegisteredCallback[];
  /** Whether any of them needs an {@link InstanceScope}. */
  readonly isScoped: boolean;
  /** The error of a callback that a lazily loaded module brought: runs of this event are refused with it. */
  readonly problem?: unknown;
  /** Whether it has neither schemas, nor durable or held callbacks, nor a problem, nor background ones for propagators. */
  readonly isPlain: boolean;
}

/** All callbacks of an event, in the order of a run. */
export const callbacksOf = ({ inline, durable, held, background }: RegisteredEvent): readonly RegisteredCallback[] => [
  ...inline,
  ...durable,
  ...held,
  ...background,
];

/** An event that has no callbacks, or whose runs are refused with a problem. */
export const withoutCallbacks = (
  of: Pick<RegisteredEvent, 'key' | 'label' | 'application' | 'problem'>,
): RegisteredEvent => ({
  key: of.key,
  label: of.label,
  application: of.application,
  definition: undefined,
  inline: [],
  durable: [],
  held: [],
  background: [],
  isScoped: false,
  problem: of.problem,
  isPlain: false,
});
