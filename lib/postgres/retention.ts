import { type EngineHost, retentionReport } from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import { addressOf, requireAddress } from './queue-name.js';
import type { Statements } from './statements/statements.js';

const QUERY_TIMEOUT_MS = 5_000;
/** How many dead deliveries are looked at, at most, each time that there is other work to do, too. */
const AT_ONCE = 500;
/** How long it is from one walk through all dead deliveries to the next, at most. */
const PAUSE_MS = 60_000;

/** The things that a {@link Retention} needs. */
interface RetentionOptions {
  readonly connection: Connection;
  readonly statements: Pick<Statements, 'queues' | 'removeDead'>;
  readonly host: EngineHost;
  /** The channel to notify on: something may have waited for what is removed. */
  readonly channel: string;
  readonly keepDeadMs: number;
}

interface Removed {
  readonly place: string;
  readonly id: string;
  readonly name: string;
  readonly found: number;
  readonly removed: Readonly<Record<string, number>> | null;
}

/** Removes what has been dead for long, if the application asks for that: a portion at a time, from the oldest on. */
export class Retention {
  private after: readonly (string | null)[] = [null, null, null];
  private nextAt = 0;

  constructor(private readonly options: RetentionOptions) {}

  async tidy(): Promise<void> {
    const { connection, statements, host, channel, keepDeadMs } = this.options;
    if (performance.now() < this.nextAt) return;
    const { rows: queues } = await connection.query(statements.queues, [], QUERY_TIMEOUT_MS);
    const names = (queues as { name: string }[]).flatMap(({ name }) => (addressOf(name) ? [name] : []));
    const params = [names, ...this.after, AT_ONCE, channel, keepDeadMs];
    const { rows } = await connection.query(statements.removeDead, params, QUERY_TIMEOUT_MS);
    const [last] = rows as Removed[];
    const isRest = last?.found === AT_ONCE;
    this.after = isRest ? [last.place, last.id, last.name] : [null, null, null];
    if (!isRest) this.nextAt = performance.now() + Math.min(PAUSE_MS, keepDeadMs);
    const removed = Object.entries(last?.removed ?? {});
    if (removed.length === 0) return;
    host.log(
      retentionReport(
        keepDeadMs,
        removed.map(([name, count]) => ({ ...requireAddress(name), count })),
      ),
    );
  }
}
