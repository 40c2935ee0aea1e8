import { createHash } from 'node:crypto';
import type { EventHeaders } from '../events/event-headers.js';

/** How many attempts at a callback's deliveries may begin, over all instances. */
export interface RateLimit {
  /** Never more than so many in any `perMs`. */
  readonly limit: number;
  readonly perMs: number;
}

/** How many attempts at the deliveries of one group may run at once, over all instances. */
export interface GroupLimit {
  /** What the group of a delivery is: `'key'` for its key, or else the name of a header, in lower case. */
  readonly by: string;
  readonly running: number;
}

/** The limits of a callback over all instances, whatever former ids it has. Each is absent where there is none. */
export interface CallbackLimits {
  readonly rate?: RateLimit;
  /** How many attempts may run at once. One whose instance has died counts until its claim has run out. */
  readonly running?: number;
  readonly groups?: GroupLimit;
}

/** The group of the deliveries that have no such key or header. All of them are one group. */
const NONE = '-';
/** A longer name takes too much of an index. */
const MOST_BYTES = 200;

/** What a delivery's group may be told by. */
export interface Grouped {
  readonly key?: string;
  readonly headers?: EventHeaders;
}

/** Names the group of a delivery: one text for each value, and another one for those that have none. */
export function groupOf({ key, headers }: Grouped, { by }: Pick<GroupLimit, 'by'>): string {
  const value = by === 'key' ? key : headers && Object.hasOwn(headers, by) ? headers[by] : undefined;
  if (value === undefined) return NONE;
  return Buffer.byteLength(value) > MOST_BYTES ? `#${createHash('md5').update(value).digest('hex')}` : `=${value}`;
}
