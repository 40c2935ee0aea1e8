import { type EngineHost, timers } from '../engine/index.js';
import type { Calls } from './calls.js';
import type { Connection } from './connection/connection.js';

const { clearTimeout, setTimeout } = timers;

/** How long it is from one look to the next, at first and at last. */
const SHORTEST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 600_000;

/**
 * Looks again and again, ever more rarely, whether notifications arrive. A pooler may keep them to itself, and let one through by
 * chance: then all goes on, and begins a little later.
 */
export class Hearing {
  private timer: NodeJS.Timeout | undefined;
  private hasToldOfDeafness = false;
  private hasStopped = false;

  constructor(
    private readonly calls: Pick<Calls, 'isHeard' | 'test'>,
    private readonly options: { readonly connection: Pick<Connection, 'isEmbedded'>; readonly host: EngineHost },
  ) {}

  /** Begins anew, as with a new connection. */
  begin(): void {
    void this.calls.test();
    clearTimeout(this.timer);
    this.lookIn(SHORTEST_PAUSE_MS);
  }

  stop(): void {
    this.hasStopped = true;
    clearTimeout(this.timer);
  }

  private lookIn(pauseMs: number): void {
    if (this.options.connection.isEmbedded || this.hasStopped) return;
    this.timer = setTimeout(() => {
      if (!this.calls.isHeard) this.tellOfDeafness();
      void this.calls.test();
      this.lookIn(Math.min(pauseMs * 2, LONGEST_PAUSE_MS));
    }, pauseMs).unref();
  }

  private tellOfDeafness(): void {
    if (this.hasToldOfDeafness) return;
    this.hasToldOfDeafness = true;
    this.options.host.log(
      'Notifications of the database do not arrive, as behind PgBouncer in transaction mode: each instance looks every second, so a ' +
        'delivery that another one has stored begins half a second later on average. Connect past the pooler for less.',
    );
  }
}
