import { timers } from '../../engine/index.js';

const { sleep } = timers;

/** How often the store is tried, in milliseconds. */
const EVERY_MS = 50;

/**
 * Measures whether a store stands still, or the machine: its disk, or this process. Brief claims run out meanwhile that a sound
 * engine would have kept.
 */
export class Standstill {
  private startedAt = performance.now();
  private longestMs = 0;
  private hasStopped = false;

  /** @param storeOne stores one delivery, as any run does */
  constructor(storeOne: () => Promise<void>) {
    void this.watch(storeOne);
  }

  /** Whether something took so long that a claim of so many milliseconds may have missed a renewal. */
  hasEndangered(leaseMs: number): boolean {
    this.measure();
    return this.longestMs > EVERY_MS + leaseMs / 4;
  }

  stop(): void {
    this.hasStopped = true;
  }

  private async watch(storeOne: () => Promise<void>): Promise<void> {
    while (!this.hasStopped) {
      this.startedAt = performance.now();
      await Promise.all([sleep(EVERY_MS), storeOne().catch(() => {})]);
      this.measure();
    }
  }

  private measure(): void {
    this.longestMs = Math.max(this.longestMs, performance.now() - this.startedAt);
  }
}
