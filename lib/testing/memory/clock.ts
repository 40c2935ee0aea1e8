import { timers } from '../../engine/index.js';

const { clearTimeout, setTimeout } = timers;

/** Decides when a memory engine's deliveries become due. */
export interface Clock {
  /** In milliseconds since 1970. */
  now(): number;
  /** Calls `wake` once, at a time or somewhat earlier. The function that it returns cancels that. */
  wakeAt(time: number, wake: () => void): () => void;
}

const LONGEST_MS = 60_000;

/** The real time. */
export const REAL_TIME: Clock = {
  now: Date.now,
  wakeAt(time, wake) {
    const timer = setTimeout(wake, Math.min(time - Date.now(), LONGEST_MS)).unref();
    return () => clearTimeout(timer);
  },
};

/** A time that passes only when it is told to. */
export class VirtualClock implements Clock {
  private time = Date.now();
  private readonly wakes = new Set<readonly [time: number, wake: () => void]>();

  now(): number {
    return this.time;
  }

  wakeAt(time: number, wake: () => void): () => void {
    const entry = [time, wake] as const;
    this.wakes.add(entry);
    return () => this.wakes.delete(entry);
  }

  /** Moves the time on, never back, and wakes those who waited for it. */
  moveTo(time: number): void {
    this.time = Math.max(time, this.time);
    for (const entry of this.wakes) {
      if (entry[0] <= this.time && this.wakes.delete(entry)) entry[1]();
    }
  }
}
