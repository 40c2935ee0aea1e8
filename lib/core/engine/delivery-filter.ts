import type { EventHeaders } from '../events/event-headers.js';
import type { KeptDelivery } from './kept-delivery.js';

/**
 * Names deliveries: all that fit every field given. An engine that does not `search` is given none but the first three. Times are
 * from one, inclusive, to another, exclusive.
 */
export interface DeliveryFilter {
  readonly event?: string;
  readonly callback?: string;
  readonly ids?: readonly string[];
  readonly key?: string;
  /** These headers, by names in lower case, each with this value. */
  readonly headers?: EventHeaders;
  /** The `code` of the last attempt's error. */
  readonly errorCode?: string;
  /** The name or the message of the last attempt's error contains it, in whatever case. */
  readonly errorText?: string;
  readonly storedAfter?: Date;
  readonly storedBefore?: Date;
  /** When a dead one died, or a completed one was completed. The filter then means none that wait or run. */
  readonly endedAfter?: Date;
  readonly endedBefore?: Date;
}

/** The fields of a {@link DeliveryFilter} that not every engine takes. */
export const SEARCHED = [
  'key',
  'headers',
  'errorCode',
  'errorText',
  'storedAfter',
  'storedBefore',
  'endedAfter',
  'endedBefore',
] as const satisfies readonly (keyof DeliveryFilter)[];

/** Whether a filter says more than whose deliveries are meant, and with which ids. */
export const isSearch = (filter: DeliveryFilter): boolean => SEARCHED.some((field) => filter[field] !== undefined);

const isWithin = (at: Date, from: Date | undefined, to: Date | undefined): boolean =>
  (from === undefined || at >= from) && (to === undefined || at < to);

/** What of a delivery tells whether a filter means it. */
export type Filtered = Pick<KeptDelivery, 'key' | 'headers' | 'error' | 'storedAt' | 'since' | 'state'>;

/** Whether a filter means a delivery, by all of its fields but `event`, `callback` and `ids`. */
export function isMeant({ key, headers, error, storedAt, since, state }: Filtered, filter: DeliveryFilter): boolean {
  if (filter.key !== undefined && key !== filter.key) return false;
  if (!Object.entries(filter.headers ?? {}).every(([name, value]) => headers?.[name] === value)) return false;
  if (filter.errorCode !== undefined && error?.code !== filter.errorCode) return false;
  const text = filter.errorText?.toLowerCase();
  const told = [error?.name, error?.message].map((one) => one?.toLowerCase());
  if (text !== undefined && !told.some((one) => one?.includes(text))) return false;
  if (!isWithin(storedAt, filter.storedAfter, filter.storedBefore)) return false;
  const { endedAfter, endedBefore } = filter;
  if (endedAfter === undefined && endedBefore === undefined) return true;
  return (state === 'dead' || state === 'completed') && isWithin(since, endedAfter, endedBefore);
}
