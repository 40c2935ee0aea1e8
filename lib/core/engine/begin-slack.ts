import type { RateLimit } from './limits.js';

const LEAST_MS = 10;
const USUAL_MS = 250;
const MOST_MS = 60_000;

/**
 * Says how long a permit of a rate is good for: an instance asks its store for the permit, and begins later. The longer that is, the
 * longer each permit counts, so it is short, and grows where it is in vain: on a slow line, or a busy machine.
 */
export class BeginSlack {
  private readonly leastMs: number;
  private currentMs: number;

  constructor({ perMs }: RateLimit) {
    this.leastMs = this.currentMs = Math.max(LEAST_MS, Math.min(USUAL_MS, Math.floor(perMs / 10)));
  }

  /** How long a permit is to be good for that is asked for now, in milliseconds. */
  get ms(): number {
    return this.currentMs;
  }

  /**
   * Learns of a permit that was to be used now. Returns whether that is in time. If it is not, the attempt must not begin, and is
   * given back.
   *
   * @param askedAt when it was asked for, by `performance.now()`
   * @param slackMs how long it was to be good for
   */
  admit(askedAt: number, slackMs: number): boolean {
    const tookMs = performance.now() - askedAt;
    if (tookMs > slackMs) this.currentMs = Math.min(Math.max(this.currentMs, Math.ceil(tookMs * 1.5)), MOST_MS);
    else if (tookMs < slackMs / 4) this.currentMs = Math.max(this.leastMs, Math.floor(this.currentMs / 2));
    return tookMs <= slackMs;
  }
}
