/** Somebody who asks for a slot. */
export interface Waiter {
  /** A slot is free. */
  wake(): void;
}

/**
 * Limits how many attempts of one callback there are at once, whichever queue their jobs are from: the callback's own
 * queue, or one under a former id.
 */
export class Slots {
  private taken = 0;
  private readonly waiting = new Set<Waiter>();

  constructor(private readonly concurrency: number) {}

  get isOneFree(): boolean {
    return this.taken < this.concurrency;
  }

  /** Whether somebody else than this one waits for a slot. */
  isWantedBeside(waiter: Waiter): boolean {
    return this.waiting.size > (this.waiting.has(waiter) ? 1 : 0);
  }

  take(): void {
    this.taken++;
  }

  /** Wakes the waiter when a slot is free. Those who wait are woken one by one, in the order of asking. */
  waitFor(waiter: Waiter): void {
    this.waiting.add(waiter);
  }

  release(): void {
    this.taken--;
    const [next] = this.waiting;
    if (!next) return;
    this.waiting.delete(next);
    next.wake();
  }
}
