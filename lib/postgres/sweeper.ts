import { type EngineHealth, timers } from '../engine/index.js';
import type { Claims } from './claims.js';
import type { Connection } from './connection/connection.js';
import type { Statements } from './statements/statements.js';
import type { Workers } from './workers.js';

const { clearTimeout, setTimeout } = timers;

/** From one queue to another. */
export interface Move {
  readonly from: string;
  readonly to: string;
}

/** The answer of the database about one queue. */
interface Due {
  readonly name: string;
  /** Something is due, though it may have to wait for its key. */
  readonly isDue: boolean;
  /** How long it is until the next delivery is due. */
  readonly dueInMs: number | null;
}

const INTERVAL_MS = 1_000;
const SWEEPS_PER_LOOK = 15;
const QUERY_TIMEOUT_MS = 5_000;

/**
 * Looks each second for what nobody is notified of: deliveries that become due, claims of instances that died, and
 * deliveries that are stored under former names. Needs one statement for all callbacks of an instance.
 */
export class Sweeper {
  private readonly moves: Move[] = [];
  /** The moves from queues that exist. Most callbacks never had another name. */
  private pending: Move[] = [];
  private sweeps = 0;
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> = Promise.resolve();
  private hasStopped = false;

  constructor(
    private readonly connection: Connection,
    private readonly statements: Statements,
    private readonly health: EngineHealth,
    private readonly claims: Claims,
    private readonly workers: Workers,
  ) {}

  /** Has it sweep from now on. Calling it again changes nothing. */
  start(): void {
    this.timer ??= setTimeout(() => this.tick());
  }

  /** Moves deliveries between queues, now and whenever some are stored under a former name. */
  async adopt(moves: readonly Move[]): Promise<void> {
    this.moves.push(...moves);
    await this.lookForMoves();
    // The next sweep tries again. What is there already must not wait for it.
    await this.move().catch((error: unknown) => this.health.failed(error));
  }

  /** Resolves when it has stopped. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    clearTimeout(this.timer);
    await this.sweeping;
  }

  private tick(): void {
    this.sweeping = this.sweep().finally(() => {
      if (!this.hasStopped) this.timer = setTimeout(() => this.tick(), INTERVAL_MS);
    });
  }

  private async sweep(): Promise<void> {
    const { workers } = this;
    try {
      const rows = await this.query(this.statements.sweep, [workers.queues, this.claims.names]);
      for (const { name, isDue, dueInMs } of rows as Due[]) {
        if (isDue) workers.wake(name);
        if (dueInMs !== null) workers.wakeIn(name, dueInMs);
      }
      // An instance of an older version may start later, and make a queue by an older name.
      if (++this.sweeps % SWEEPS_PER_LOOK === 0) await this.lookForMoves();
      // This comes last: what cannot be moved must not keep the rest from being found.
      await this.move();
      this.health.works();
    } catch (error) {
      this.health.failed(error);
    }
  }

  private async lookForMoves(): Promise<void> {
    const rows = await this.query(this.statements.queues, []);
    const existing = new Set((rows as { name: string }[]).map(({ name }) => name));
    this.pending = this.moves.filter(({ from }) => existing.has(from));
  }

  private async move(): Promise<void> {
    if (this.pending.length === 0) return;
    const params = [JSON.stringify(this.pending), this.pending.map(({ from }) => from)];
    const rows = await this.query(this.statements.adopt, params);
    for (const { name } of rows as { name: string }[]) this.workers.wake(name);
  }

  private async query(statement: string, params: unknown[]): Promise<unknown[]> {
    const { rows } = await this.connection.query(statement, params, QUERY_TIMEOUT_MS);
    return rows;
  }
}
