import type { DeliveryCounts } from '../engine/kept-delivery.js';

/**
 * What a health check has found. The numbers are those of all callbacks of the store, also of other applications; they are
 * absent where it could not be looked into.
 */
export interface EventsHealthState {
  readonly status: 'up' | 'down';
  /** The engine's name; absent where none has been needed. */
  readonly engine?: string;
  /** Says why it is down. */
  readonly message?: string;
  /** Those that are due, or that an earlier one of their key holds up. */
  readonly waiting?: number;
  /** Those that wait for their time: they are delayed, or are to be tried again. */
  readonly delayed?: number;
  readonly running?: number;
  readonly dead?: number;
  /** `false` where one of these numbers may be too small: there are at least so many. */
  readonly isExact?: boolean;
  /**
   * For how many milliseconds the one of `waiting` has been due that has been so for the longest, but for those of paused callbacks;
   * absent where none waits.
   */
  readonly oldestDueMs?: number;
  /** The callbacks that have dead deliveries, those with the most first, ten of them at most; absent where there are none. */
  readonly callbacksWithDead?: readonly string[];
}

/** What may be found before a check says that it is down. */
export interface HealthLimits {
  readonly maxDead?: number;
  readonly maxOldestMs?: number;
}

/** How many callbacks are named. */
const MOST_NAMED = 10;

/** What is found where nobody stores anything. */
export const NOTHING = { waiting: 0, delayed: 0, running: 0, dead: 0, isExact: true } as const;

/** Judges what an engine has counted. */
export function stateOf(engine: string, counts: readonly DeliveryCounts[], limits: HealthLimits): EventsHealthState {
  const found = new Found(counts);
  const message = [found.tooManyDead(limits.maxDead), found.tooOld(limits.maxOldestMs)].filter(Boolean).join(' ');
  return { status: message ? 'down' : 'up', engine, ...(message && { message }), ...found.data };
}

class Found {
  private readonly now = Date.now();
  private readonly withDead: readonly DeliveryCounts[];
  private readonly oldest: DeliveryCounts | undefined;

  constructor(private readonly counts: readonly DeliveryCounts[]) {
    this.withDead = counts.filter(({ dead }) => dead > 0).toSorted((one, other) => other.dead - one.dead);
    // What waits because its callback is paused is not late.
    const due = counts.filter((count) => !count.pausedSince && this.dueMs(count) !== undefined);
    this.oldest = due.toSorted((one, other) => this.dueMs(other)! - this.dueMs(one)!)[0];
  }

  get data() {
    const oldestDueMs = this.oldest && this.dueMs(this.oldest);
    const callbacksWithDead = [...new Set(this.withDead.map(({ callback }) => callback))].slice(0, MOST_NAMED);
    return {
      waiting: this.all('waiting'),
      delayed: this.all('delayed'),
      running: this.all('running'),
      dead: this.all('dead'),
      isExact: this.counts.every(({ isExact }) => isExact),
      ...(oldestDueMs !== undefined && { oldestDueMs }),
      ...(callbacksWithDead.length > 0 && { callbacksWithDead }),
    };
  }

  tooManyDead(most = Infinity): string {
    const dead = this.all('dead');
    if (dead <= most) return '';
    const atLeast = this.withDead.every(({ isExact }) => isExact) ? '' : 'At least ';
    const named = this.withDead.slice(0, MOST_NAMED).map((count) => `${count.callback} (${count.dead})`);
    const more = this.withDead.length > MOST_NAMED ? ` and ${this.withDead.length - MOST_NAMED} more callbacks` : '';
    const are = dead === 1 ? 'delivery is' : 'deliveries are';
    return `${atLeast}${dead} ${are} dead, and maxDead is ${most}: ${named.join(', ')}${more}.`;
  }

  tooOld(mostMs = Infinity): string {
    const ms = this.oldest && this.dueMs(this.oldest);
    if (ms === undefined || ms <= mostMs) return '';
    return `A delivery to ${this.oldest!.callback} has been due for ${ms} ms, and maxOldestMs is ${mostMs}.`;
  }

  private all(state: 'waiting' | 'delayed' | 'running' | 'dead'): number {
    return this.counts.reduce((sum, count) => sum + count[state], 0);
  }

  /** The store's clock may be ahead of this one. */
  private dueMs({ oldestDueAt }: DeliveryCounts): number | undefined {
    return oldestDueAt && Math.max(0, this.now - oldestDueAt.getTime());
  }
}
