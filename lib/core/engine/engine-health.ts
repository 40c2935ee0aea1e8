import type { EngineHost } from './engine.js';
import { messageOf } from '../errors/thrown.js';

/** Says once that an engine's server is away, and once that it is back, whatever keeps trying in between. */
export class EngineHealth {
  private awaySince: number | undefined;

  /** @param name the server's name in messages */
  constructor(
    private readonly host: EngineHost,
    private readonly name: string,
  ) {}

  failed(error: unknown): void {
    if (this.awaySince !== undefined) return;
    this.awaySince = performance.now();
    this.host.report(
      `${this.name} does not work, and is tried again each second`,
      new Error(messageOf(error), { cause: error }),
    );
  }

  works(): void {
    if (this.awaySince === undefined) return;
    const seconds = (performance.now() - this.awaySince) / 1_000;
    this.awaySince = undefined;
    this.host.log(`${this.name} works again, after ${seconds.toFixed(1)} s.`);
  }
}
