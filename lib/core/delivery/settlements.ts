import { atMost } from '../async/time-limits.js';
import type { EngineHost } from '../engine/engine-host.js';

/** Knows what the engine is writing down of attempts that have ended, so that closing waits for it. */
export class Settlements {
  private readonly pending = new Set<Promise<unknown>>();

  constructor(private readonly host: Pick<EngineHost, 'report'>) {}

  /** Has closing wait for something that the engine writes down. Reports a failure to do so, and answers `undefined`. */
  add<T>(settlement: Promise<T>): Promise<T | undefined> {
    const settled = settlement.catch((error: unknown) => {
      this.host.report('The engine could not record how a delivery ended, so it may run again', error);
      return undefined;
    });
    this.pending.add(settled);
    void settled.then(() => this.pending.delete(settled));
    return settled;
  }

  /** Resolves when everything is written down, and after so many milliseconds anyway. */
  flush(withinMs: number): Promise<void> {
    return atMost(withinMs, Promise.all(this.pending));
  }
}
