import type { Settlements } from '../delivery/settlements.js';
import { shutdownTimeout } from '../errors/run-errors.js';
import type { Runtime } from '../runs/runtime.js';

/** Somebody who pressed Ctrl-C wonders. */
const NOTICE_AFTER_MS = 1_000;

// Work that is given up may start other work, which gets one round, and so on, but not for ever.
const ROUND_MS = 10;
const MOST_ROUNDS = 100;

/** The share of the time, and the longest, that is left to the engine when all else is given up: to write down how that ended. */
const LAST_WORDS_SHARE = 0.2;
const LAST_WORDS_MS = 1_000;

/** Closes an application: waits for what is in flight, gives up what takes too long, and lets nothing begin any more. */
export class Shutdown {
  private leftMs: number;
  private draining: Promise<void> | undefined;

  constructor(
    private readonly runtime: Runtime,
    private readonly settlements: Settlements,
  ) {
    this.leftMs = runtime.options.shutdownTimeout;
  }

  /**
   * Waits for all runs and background work. What is pending when `shutdownTimeout` is used up, by all calls together,
   * is rejected; and so is what is run in answer to that.
   */
  drain(): Promise<void> {
    return (this.draining ??= this.waitUntilIdle().finally(() => {
      this.draining = undefined;
    }));
  }

  /** Refuses every `run()` from here on, and gives up the engine's connections. */
  async close(): Promise<void> {
    const { inFlight, background, early, outsideCalls, engine } = this.runtime;
    inFlight.isClosed = true;
    background.tellOfDropped();
    early.close();
    outsideCalls.stop();
    await engine.stop(this.leftMs);
  }

  /** Closes an application that has not started: whoever made it may never close it. */
  async abandon(): Promise<void> {
    try {
      // Runs that wait for the start are to hear of what was wrong with it.
      this.runtime.early.flush();
      await this.close();
    } catch (error) {
      this.runtime.failures.log('error', 'Closing, since the application has not started, failed', error);
    }
  }

  private async waitUntilIdle(): Promise<void> {
    const { inFlight, early, failures } = this.runtime;
    early.flush();
    const startedAt = performance.now();
    const notice = setTimeout(() => failures.logger.warn(this.waiting), NOTICE_AFTER_MS);
    let rounds = 0;
    const nextRound = () => {
      rounds++;
      timer = setTimeout(nextRound, ROUND_MS);
      if (!inFlight.isIdle) this.giveUp();
    };
    let timer = setTimeout(nextRound, Math.max(0, this.leftMs - this.lastWordsMs));
    // Work that ends may have started something else.
    while (!inFlight.isIdle && rounds < MOST_ROUNDS) await inFlight.whenIdle();
    clearTimeout(timer);
    clearTimeout(notice);
    const leftMs = () => Math.max(0, this.leftMs - (performance.now() - startedAt));
    await this.settlements.flush(leftMs());
    this.leftMs = leftMs();
  }

  private get lastWordsMs(): number {
    const { engine, options } = this.runtime;
    return engine.current ? Math.min(LAST_WORDS_MS, options.shutdownTimeout * LAST_WORDS_SHARE) : 0;
  }

  private get waiting(): string {
    const { inFlight, options } = this.runtime;
    return `Closing waits for ${inFlight.waitsFor.join(', ')}, up to ${options.shutdownTimeout} ms in all.`;
  }

  private giveUp(): void {
    const { inFlight, failures, options } = this.runtime;
    const error = shutdownTimeout(options.shutdownTimeout, inFlight.waitsFor);
    failures.log('error', 'Closing', error);
    inFlight.giveUp(error);
  }
}
