import { clearTimeout, setTimeout } from '../async/timers.js';
import type { RegisteredDurable, RegisteredEvent } from '../callbacks/registered-event.js';
import type { SafeLogger } from '../reports/safe-logger.js';

/** When it is told of again, for the first time and at last. */
const SHORTEST_MS = 10_000;
const LONGEST_MS = 3_600_000;

/** Says again and again, each time after twice as long, that a callback which is past its time still takes a place. */
export class Overdue {
  private timer: NodeJS.Timeout | undefined;

  /** @param id the delivery's */
  constructor(
    private readonly logger: SafeLogger,
    private readonly event: RegisteredEvent,
    private readonly callback: RegisteredDurable,
    private readonly id: string,
  ) {}

  /** @param timeoutMs after how long its time was over */
  begin(timeoutMs: number): void {
    this.remind(timeoutMs, Math.max(timeoutMs, SHORTEST_MS));
  }

  end(): void {
    clearTimeout(this.timer);
  }

  private remind(forMs: number, pauseMs: number): void {
    this.timer = setTimeout(() => {
      const { callback, event, id } = this;
      this.logger.warn(
        `${callback.id} still works on "${event.label}" (delivery ${id}), after ${((forMs + pauseMs) / 1_000).toFixed(0)} s, and ` +
          `takes one of the ${callback.durable.concurrency} places that its concurrency allows. Heed currentEvent().signal.`,
      );
      this.remind(forMs + pauseMs, Math.min(pauseMs * 2, LONGEST_MS));
    }, pauseMs).unref();
  }
}
