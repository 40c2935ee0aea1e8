import { timers } from '../engine/index.js';

const { clearTimeout, setTimeout } = timers;

/** The sweeper, which looks more often, finds what is due later than that. */
const LONGEST_WAIT_MS = 3_000;
/** The database's clock decides, and ours may differ a little. */
const MARGIN_MS = 2;

/** Tells when something of a queue becomes due, if that is soon. */
export class Alarms {
  private readonly next = new Map<string, { at: number; timer: NodeJS.Timeout }>();
  private hasStopped = false;

  constructor(private readonly onDue: (queue: string) => void) {}

  /** @param inMs milliseconds from now */
  set(queue: string, inMs: number): void {
    const at = performance.now() + inMs;
    const next = this.next.get(queue);
    if (this.hasStopped || inMs > LONGEST_WAIT_MS || (next && next.at <= at)) return;
    clearTimeout(next?.timer);
    const timer = setTimeout(() => {
      this.next.delete(queue);
      this.onDue(queue);
    }, inMs + MARGIN_MS);
    this.next.set(queue, { at, timer });
  }

  stop(): void {
    this.hasStopped = true;
    for (const { timer } of this.next.values()) clearTimeout(timer);
  }
}
