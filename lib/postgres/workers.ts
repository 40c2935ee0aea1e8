import type { Worker } from './worker.js';

/** The workers of an instance, by the queues that they work on. */
export class Workers {
  private readonly workers = new Map<string, Worker>();

  add(queue: string, worker: Worker): void {
    this.workers.set(queue, worker);
    worker.wake();
  }

  /** Whether this instance works on a queue. */
  has(queue: string): boolean {
    return this.workers.has(queue);
  }

  /** Whether this instance could perform one more delivery of a queue. */
  hasRoom(queue: string): boolean {
    return this.workers.get(queue)?.hasRoom === true;
  }

  /** @param key of which something may be next, if that is known */
  wake(queue: string, key?: string): void {
    this.workers.get(queue)?.wake(key);
  }

  wakeForSuspects(queue: string): void {
    this.workers.get(queue)?.wakeForSuspects();
  }

  wakeAll(): void {
    for (const worker of this.workers.values()) worker.wake();
  }

  /** Has the worker of a queue look when it has room again, if it has none now. */
  note(queue: string): void {
    const worker = this.workers.get(queue);
    if (worker?.hasRoom === false) worker.wake();
  }

  /** Has all workers stop. Resolves when they have. */
  async stop(): Promise<void> {
    await Promise.all([...this.workers.values()].map((worker) => worker.stop()));
  }
}
