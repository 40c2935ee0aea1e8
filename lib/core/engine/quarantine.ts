/**
 * Keeps suspects apart: an instance performs one of them at a time, over all its callbacks, so that one that ends the process
 * ends no other suspect with it. An engine has one of these, and each suspect is in it while it is performed: from before it
 * begins until its end is written down, or else until `perform` resolves. What is not written down when the next one ends the
 * process would be charged.
 */
export class Quarantine {
  private isTaken = false;
  private readonly waiting = new Set<{ wake(): void }>();

  /** Enters it for a suspect. Answers `false` when there is one already. */
  tryEnter(): boolean {
    if (this.isTaken) return false;
    this.isTaken = true;
    return true;
  }

  /** Says that the suspect is gone, or that whoever entered has found none. Once for each time that somebody has entered. */
  leave(): void {
    this.isTaken = false;
    const [next] = this.waiting;
    if (!next) return;
    this.waiting.delete(next);
    next.wake();
  }

  /**
   * Wakes somebody who asked in vain when it is free. Those who wait are woken one by one, in the order of asking. Who is woken
   * must enter, and leave when it finds no suspect: that wakes the next.
   */
  waitFor(waiter: { wake(): void }): void {
    if (this.isTaken) this.waiting.add(waiter);
    else waiter.wake();
  }
}
