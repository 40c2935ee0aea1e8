import { timers } from '../engine/index.js';
import type { Worker } from './worker.js';

const { clearTimeout, setTimeout } = timers;

/** The sweeper finds what is due later than that. */
const LONGEST_WAIT_MS = 2_000;
/** The database's clock decides, and ours may differ a little. */
const MARGIN_MS = 2;

/** The workers of an instance, by the queues that they work on. Wakes them now, or when something becomes due. */
export class Workers {
  private readonly workers = new Map<string, Worker>();
  private readonly alarms = new Map<string, { at: number; timer: NodeJS.Timeout }>();
  private hasStopped = false;

  get queues(): string[] {
    return [...this.workers.keys()];
  }

  add(queue: string, worker: Worker): void {
    this.workers.set(queue, worker);
    worker.wake();
  }

  /** Wakes the worker of a queue, if this instance has one. */
  wake(queue: string): void {
    this.workers.get(queue)?.wake();
  }

  wakeAll(): void {
    for (const worker of this.workers.values()) worker.wake();
  }

  /** Wakes the worker of a queue when something becomes due in so many milliseconds, if that is soon. */
  wakeIn(queue: string, inMs: number): void {
    const at = performance.now() + inMs;
    const next = this.alarms.get(queue);
    if (this.hasStopped || !this.workers.has(queue) || inMs > LONGEST_WAIT_MS || (next && next.at <= at)) return;
    clearTimeout(next?.timer);
    const timer = setTimeout(() => {
      this.alarms.delete(queue);
      this.wake(queue);
    }, inMs + MARGIN_MS);
    this.alarms.set(queue, { at, timer });
  }

  /** Has all workers stop. Resolves when they have. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    for (const { timer } of this.alarms.values()) clearTimeout(timer);
    await Promise.all([...this.workers.values()].map((worker) => worker.stop()));
  }
}
