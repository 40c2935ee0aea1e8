/** Who was spared so often, or more often, is let in only alone: else it might end one process after the other uncharged. */
export const SPARED_OFTEN = 3;

/**
 * Keeps suspects apart. An instance performs the first of them alone, over all its callbacks: one that then ends the process is
 * known to be the cause, and ends no other suspect with it. For each that has ended well one more is let in at a time, as most
 * were merely there when a process was killed. It begins anew in each process, and when no suspect is left.
 *
 * An engine has one of these, and each suspect is in it while it is performed: from before it begins until its end is written
 * down, or else until `perform` resolves. What is not written down when the next one ends the process would be charged.
 */
export class Quarantine {
  private places = 1;
  private taken = 0;
  private readonly waiting = new Set<{ wake(): void }>();

  /**
   * Enters it for a suspect. Answers `false` when there are as many already as it lets in.
   *
   * @param spared how often it was spared. Who cannot tell before it has claimed one must not claim one that was spared
   * {@link SPARED_OFTEN}, unless {@link isForOne}.
   */
  tryEnter(spared = 0): boolean {
    if (spared >= SPARED_OFTEN && this.taken === 0) this.places = 1;
    if (this.isFull || (spared >= SPARED_OFTEN && !this.isForOne)) return false;
    this.taken++;
    return true;
  }

  /**
   * Whether the suspect that has entered is there alone, and stays so until it leaves. Only then it is charged if its instance
   * dies.
   */
  get isForOne(): boolean {
    return this.places === 1;
  }

  /**
   * Leaves it, once for each time that somebody has entered.
   *
   * @param found `'ended'`: a suspect was performed, and has ended; `'none'`: whoever entered has found none
   */
  leave(found: 'ended' | 'none'): void {
    this.taken--;
    if (found === 'ended') this.places++;
    else if (this.taken === 0) this.places = 1;
    this.passOn();
  }

  /**
   * Wakes somebody who asked in vain when there is a place. Those who wait are woken in the order of asking. Who is woken
   * must enter, and leave when it finds no suspect, or else pass its turn on: that wakes the next.
   */
  waitFor(waiter: { wake(): void }): void {
    if (this.isFull) this.waiting.add(waiter);
    else waiter.wake();
  }

  /** Lets those who wait have their turn, as whoever was woken cannot perform a suspect now. */
  passOn(): void {
    // Who passes its turn on may ask again, and is not woken twice.
    const asked = [...this.waiting];
    for (const waiter of asked) {
      if (this.isFull) return;
      if (this.waiting.delete(waiter)) waiter.wake();
    }
  }

  private get isFull(): boolean {
    return this.taken >= this.places;
  }
}
