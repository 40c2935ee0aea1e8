import { optionInvalid } from '../errors/callback-errors.js';
import { engineMissing } from '../errors/delivery-errors.js';
import { type EventKey, eventLabel } from '../events/event-map.js';
import type { CompleteOptions } from '../options/events.options.js';
import type { RegisteredDurable } from './registered-event.js';

/** The callbacks of other applications that answer an event: they have no method here. */
export function remoteCallbacksOf(key: EventKey, { remote, engine, durable }: CompleteOptions): RegisteredDurable[] {
  const own = remote.filter((one) => one.key === key);
  if (own.length > 0 && !engine) throw engineMissing(`remote names ${own[0].id} for "${eventLabel(key)}"`);
  return own.map(({ id, isOrdered }) => ({
    id,
    delivery: 'durable',
    isOptional: false,
    target: {},
    method: id,
    durable: { ...durable, isOrdered, formerly: [], isRemote: true },
  }));
}

/**
 * Refuses a callback that is named as another application's, though this one has it.
 *
 * @throws EVENTS_OPTION_INVALID
 */
export function refuseOwn(callbacks: readonly RegisteredDurable[]): void {
  const own = new Set(callbacks.flatMap(({ id, durable }) => (durable.isRemote ? [] : [id])));
  const both = callbacks.find(({ id, durable }) => durable.isRemote && own.has(id));
  if (!both) return;
  const remedy = 'This application has it itself: remove it from remote.';
  throw optionInvalid('remote', both.id, remedy);
}
