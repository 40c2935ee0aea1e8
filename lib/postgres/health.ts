import type { EngineHost } from '../index.js';
import { messageOf } from './connection.js';

/** Says once that the database is away, and once that it is back, whatever keeps trying in between. */
export class Health {
  private awaySince: number | undefined;

  constructor(private readonly host: EngineHost) {}

  failed(error: unknown): void {
    if (this.awaySince !== undefined) return;
    this.awaySince = performance.now();
    this.host.report(
      'Postgres does not work, and is tried again each second',
      new Error(messageOf(error), { cause: error }),
    );
  }

  works(): void {
    if (this.awaySince === undefined) return;
    const seconds = (performance.now() - this.awaySince) / 1_000;
    this.awaySince = undefined;
    this.host.log(`Postgres works again, after ${seconds.toFixed(1)} s.`);
  }
}
