import { timers } from '../engine/index.js';
import type { EventsInspector } from '../index.js';
import type { VirtualClock } from './memory/clock.js';
import type { Outstanding } from './outstanding.js';
import { notSettled, notStarted, notWorking } from './testing-errors.js';

const { clearTimeout, setTimeout } = timers;

/** Waits for all that runs have caused: each time something has ended, it asks what is left. */
export class Settling {
  constructor(
    private readonly inspector: EventsInspector,
    private readonly outstanding: Outstanding,
    private readonly clock: VirtualClock | undefined,
    /** Whether the application was initialised. */
    private readonly isStarted: () => boolean,
  ) {}

  /**
   * Resolves when nothing happens any more; with a clock that is moved, until a time or to the end of all delays.
   *
   * @throws EVENTS_NOT_SETTLED
   */
  async until(time: number, timeoutMs: number): Promise<void> {
    const limit = new Limit(timeoutMs);
    const from = this.clock?.now() ?? 0;
    try {
      if (!(await Promise.race([this.follow(time, limit), limit.reached]))) return;
      if (this.inspector.isIdle && !(await this.outstanding.isBusy())) return;
      const open = [...this.inspector.running, ...(await this.openElsewhere())];
      throw notSettled(time === Infinity ? 'settled' : 'advance', timeoutMs, (this.clock?.now() ?? 0) - from, open);
    } finally {
      limit.end();
    }
  }

  private async follow(time: number, limit: Limit): Promise<false> {
    for (;;) {
      await this.untilQuiet(limit);
      if (!this.clock || limit.isOver) return false;
      const next = this.outstanding.nextDue();
      if (next === undefined || next > time) {
        if (time !== Infinity) this.clock.moveTo(time);
        return false;
      }
      this.clock.moveTo(next);
    }
  }

  /** Resolves when nothing happens any more unless the time moves on. */
  private async untilQuiet(limit: Limit): Promise<void> {
    while (!limit.isOver) {
      await this.inspector.whenIdle();
      // This begins to listen before it looks, so that it overlooks nothing that ends meanwhile.
      const something = Promise.race([this.inspector.whenIdle({ next: true }), this.outstanding.changed()]);
      const isBusy = await this.outstanding.isBusy();
      if (!this.inspector.isIdle) continue;
      if (!isBusy) return;
      if (!this.inspector.isWorking) throw await this.nobodyWorks();
      await something;
    }
  }

  private async nobodyWorks(): Promise<Error> {
    const open = await this.outstanding.describe();
    return this.isStarted() ? notWorking(open) : notStarted('settled() was called', open);
  }

  /** Leaves out what this application performs, since the inspector names that. */
  private async openElsewhere(): Promise<readonly string[]> {
    const open = await this.outstanding.describe();
    return this.inspector.isIdle ? open : open.filter((name) => !name.endsWith('(running)'));
  }
}

/** A time limit. */
class Limit {
  isOver = false;
  /** Resolves to `true`, if it is reached. */
  readonly reached: Promise<true>;
  private timer: NodeJS.Timeout | undefined;

  constructor(ms: number) {
    this.reached = new Promise((resolve) => {
      this.timer = setTimeout(() => resolve(true), ms);
    });
  }

  end(): void {
    this.isOver = true;
    clearTimeout(this.timer);
  }
}
