import type { Clock } from './clock.js';
import type { MemoryStore } from './memory-store.js';

/** The options of `memoryEngine()`. All are optional. */
export interface MemoryEngineOptions {
  /**
   * Where deliveries are kept. Applications that are given the same store share its deliveries, as instances in production
   * do.
   * @default a new one for each application
   */
  readonly store?: MemoryStore;
  /**
   * How long a claim lasts that is not renewed, in milliseconds. After that, another instance performs what a crashed one
   * was performing.
   * @default 10_000
   */
  readonly leaseMs?: number;
  /**
   * Decides when deliveries become due, after delays and before retries. Claims always last by the real time.
   * @default the real time
   */
  readonly clock?: Clock;
  /**
   * How long dead deliveries are kept, in milliseconds, by that clock.
   * @default Infinity
   */
  readonly keepDeadMs?: number;
}
