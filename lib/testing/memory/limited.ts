import { addressName, type CallbackLimits, type DurableCallback, groupOf, RateWindow } from '../../engine/index.js';
import type { Row } from './row.js';

/** Where a callback stands at a moment, between its limits. */
export interface Standing {
  /** Whether nothing may begin, whatever waits. */
  readonly isFull: boolean;
  /** Whether the group of a delivery is full. */
  isFullFor(row: Row): boolean;
}

const OPEN: Standing = { isFull: false, isFullFor: () => false };

/** Keeps the limits of callbacks, over all engines on one memory store. */
export class Limited {
  private readonly windows = new Map<string, RateWindow>();

  /** @param running the deliveries of the callback that are performed */
  standing(callback: DurableCallback, running: readonly Row[], now: number): Standing {
    const { limits } = callback;
    if (!limits) return OPEN;
    const { groups } = limits;
    const counts = new Map<string, number>();
    if (groups) for (const row of running) add(counts, groupOf(row, groups));
    return {
      isFull: running.length >= (limits.running ?? Infinity) || this.hasSpent(callback, now),
      isFullFor: (row) => groups !== undefined && (counts.get(groupOf(row, groups)) ?? 0) >= groups.running,
    };
  }

  /** When the rate of a callback lets another begin; `undefined` if it lets one begin now. */
  freeAt(callback: DurableCallback, now: number): number | undefined {
    const { rate } = callback.limits ?? {};
    return rate && this.hasSpent(callback, now) ? now + this.windowOf(callback).freeInMs(now, rate) : undefined;
  }

  /** Takes a permit, if the callback has a rate. */
  take(callback: DurableCallback, now: number, slackMs: number): void {
    const { rate } = callback.limits ?? {};
    if (rate) this.windowOf(callback).take(1, now, slackMs, rate);
  }

  private hasSpent(callback: DurableCallback, now: number): boolean {
    const { rate }: CallbackLimits = callback.limits ?? {};
    return rate !== undefined && this.windowOf(callback).room(now, rate) <= 0;
  }

  private windowOf(callback: DurableCallback): RateWindow {
    const name = addressName(callback);
    const window = this.windows.get(name) ?? new RateWindow();
    this.windows.set(name, window);
    return window;
  }
}

const add = (counts: Map<string, number>, group: string) => counts.set(group, (counts.get(group) ?? 0) + 1);
