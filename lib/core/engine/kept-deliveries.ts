import { messageOf } from '../errors/thrown.js';
import { addressKey } from './address-name.js';
import type { DeliveryAddress } from './delivery.js';
import type { DeliveryFilter } from './delivery-filter.js';
import type { DeliveryCounts, LastHour } from './kept-delivery.js';
import { UnknownOutcomeError } from './refusals.js';

/** Whether a filter means deliveries of this address. It does not look at its other fields. */
export const fits = (address: DeliveryAddress, { event, callback }: DeliveryFilter): boolean =>
  (event === undefined || address.event === event) && (callback === undefined || address.callback === callback);

const COUNTED = ['waiting', 'delayed', 'running', 'dead'] as const;

/** What was found of one address: how many deliveries in some state, since when the oldest is due, since when it is paused. */
export type FoundDeliveries = DeliveryAddress & Partial<DeliveryCounts>;

/** Adds up, for `counts()`, what was found of each address. Leaves out those that have nothing, had nothing within the last hour, and are not paused. */
export function countsByAddress(found: readonly FoundDeliveries[]): DeliveryCounts[] {
  const counts = new Map<string, { -readonly [Field in keyof DeliveryCounts]: DeliveryCounts[Field] }>();
  for (const { event, callback, ...some } of found) {
    const key = addressKey({ event, callback });
    const sum = counts.get(key) ?? { event, callback, waiting: 0, delayed: 0, running: 0, dead: 0, isExact: true };
    counts.set(key, sum);
    sum.isExact &&= some.isExact ?? true;
    for (const state of COUNTED) sum[state] += some[state] ?? 0;
    for (const time of ['oldestDueAt', 'pausedSince'] as const) {
      const earliest = earlierOf(sum[time], some[time]);
      if (earliest) sum[time] = earliest;
    }
    if (some.lastHour) sum.lastHour = together(sum.lastHour, some.lastHour);
  }
  return [...counts.values()].filter(
    ({ lastHour, pausedSince, ...sum }) =>
      pausedSince || COUNTED.some((state) => sum[state] > 0) || (lastHour && hasAny(lastHour)),
  );
}

const earlierOf = (one: Date | undefined, other: Date | undefined) => (one && !(other && other < one) ? one : other);

const together = (one: LastHour | undefined, other: LastHour): LastHour => ({
  dead: (one?.dead ?? 0) + other.dead,
  completed: (one?.completed ?? 0) + other.completed,
  isExact: (one?.isExact ?? true) && other.isExact,
});

const hasAny = ({ dead, completed }: LastHour): boolean => dead + completed > 0;

/** Makes the error of `store()` and `work()` for a callback that was never declared. */
export const neverDeclared = ({ event, callback }: DeliveryAddress): Error =>
  new Error(`${callback} was never declared for "${event}".`);

/**
 * Says how storing has failed: with the error itself if nothing was stored, and otherwise with an
 * {@link UnknownOutcomeError}.
 *
 * @param wasRefused whether this error means that the store itself has said no
 */
export function outcomeOf(error: unknown, wasRefused: (error: unknown) => boolean): unknown {
  if (error instanceof UnknownOutcomeError || wasRefused(error)) return error;
  return new UnknownOutcomeError(messageOf(error), { cause: error });
}
