import type { RateLimit } from './limits.js';

/** Permits that were handed out at about the same time. */
export interface Permits {
  /** Until when the last of them may be used, in milliseconds of the store's clock. */
  until: number;
  count: number;
}

/** The window is made of so many parts. What was handed out in one of them is one number, however much it is. */
export const PARTS = 32;

/**
 * Keeps a rate: never more than `limit` attempts begin in any `perMs`. What is claimed begins a little later, so a permit is
 * good for a while, its slack, and counts until `perMs` after the end of that.
 *
 * This is the arithmetic. Engines whose store is shared by processes do the same in a script of the store.
 */
export class RateWindow {
  private permits: Permits[] = [];
  private lastAt = -Infinity;

  /** How many permits there are now. */
  room(now: number, { limit, perMs }: RateLimit): number {
    this.turnBackTo(now);
    const counting = this.permits.filter(({ until }) => until >= now - perMs);
    return limit - counting.reduce((sum, { count }) => sum + count, 0);
  }

  /** Hands out permits, of which there must be so many. Each is to be used within so many milliseconds, or not at all. */
  take(count: number, now: number, slackMs: number, { perMs }: RateLimit): void {
    this.turnBackTo(now);
    this.lastAt = now;
    this.permits = this.permits.filter(({ until }) => until >= now - perMs);
    const until = now + slackMs;
    const partOf = (time: number) => Math.floor((time * PARTS) / perMs);
    const same = this.permits.find((one) => partOf(one.until) === partOf(until));
    if (same) Object.assign(same, { until: Math.max(same.until, until), count: same.count + count });
    else this.permits.push({ until, count });
  }

  /** How long it is until the first of those that count will count no more, in milliseconds. */
  freeInMs(now: number, { perMs }: RateLimit): number {
    const counting = this.permits.filter(({ until }) => until >= now - perMs);
    return Math.max(1, Math.min(...counting.map(({ until }) => until)) + perMs - now + 1);
  }

  /** A clock that was set back tells nothing of how much time has passed: as if none had. */
  private turnBackTo(now: number): void {
    const aheadMs = this.lastAt - now;
    if (!(aheadMs > 0)) return;
    for (const one of this.permits) one.until -= aheadMs;
    this.lastAt = now;
  }
}
