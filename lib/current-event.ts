import { AsyncLocalStorage } from 'node:async_hooks';
import type { EventKey } from './event-map.js';
import type { EventsCore } from './events-core.js';
import type { RegisteredEvent } from './registered-event.js';

/** What a callback can learn of the run it is part of. */
export interface CurrentEvent {
  /** The event's name, or its class. */
  readonly event: EventKey;
  /** What the callbacks are called with. */
  readonly arguments: readonly unknown[];
  /** Aborts when `shutdownTimeout` has passed and the run is given up. */
  readonly signal: AbortSignal;
  /** The HTTP request that the run was made in, as passed to `events.with({ request })`. */
  readonly request?: object;
}

const storage = new AsyncLocalStorage<CurrentEvent>();
/** Asking the storage costs something on every run; before its first use there is nothing to ask for. */
let isInUse = false;

/**
 * The run that the calling code is part of, in callbacks of runs made through `events.with()` and in all with the
 * option `tracksCurrentEvent`; `undefined` anywhere else.
 *
 * @example
 * const response = await fetch(url, { signal: currentEvent()?.signal });
 */
export const currentEvent = (): CurrentEvent | undefined => (isInUse ? storage.getStore() : undefined);

/** @internal */
export function withCurrentEvent<T>(current: CurrentEvent, work: () => T): T {
  isInUse = true;
  return storage.run(current, work);
}

/** @internal */
export const describeRun = (
  { signal }: EventsCore,
  { key }: RegisteredEvent,
  args: readonly unknown[],
  request: object | undefined,
): CurrentEvent => Object.freeze({ event: key, arguments: args, signal, ...(request && { request }) });
