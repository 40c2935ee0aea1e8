import type { EventHeaders } from '../events/event-headers.js';
import type { KeptDelivery } from './kept-delivery.js';

/** Says what deliveries have in common, beside their event and callback. Those are meant that have all of it. */
export interface DeliveryTraits {
  /** This key. */
  readonly key?: string;
  /** Headers with these values. In names, case does not matter. */
  readonly headers?: EventHeaders;
  /** The `code` of the last attempt's error, as in `ECONNREFUSED`. */
  readonly errorCode?: string;
  /** Text that the name or the message of the last attempt's error contains, in whatever case. */
  readonly errorText?: string;
  /** Stored at this time or later. */
  readonly storedAfter?: Date;
  /** Stored before this time. */
  readonly storedBefore?: Date;
  /** Dead since this time or later; of completed ones, completed then. */
  readonly endedAfter?: Date;
  /** Dead since before this time; of completed ones, completed then. */
  readonly endedBefore?: Date;
}

/**
 * Names deliveries: all that fit every field given. An engine that does not `search` is given none but these three. Names of headers
 * are in lower case. With `endedAfter` or `endedBefore` it means none that wait or run.
 */
export interface DeliveryFilter extends DeliveryTraits {
  readonly event?: string;
  readonly callback?: string;
  readonly ids?: readonly string[];
}

/** The fields of {@link DeliveryTraits}, which not every engine takes. */
export const SEARCHED = [
  'key',
  'headers',
  'errorCode',
  'errorText',
  'storedAfter',
  'storedBefore',
  'endedAfter',
  'endedBefore',
] as const satisfies readonly (keyof DeliveryTraits)[];

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
