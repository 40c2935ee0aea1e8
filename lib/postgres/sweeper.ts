import { type EngineHealth, timers } from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import type { Statements } from './statements/statements.js';

const { clearTimeout, setTimeout } = timers;

/** From one queue to another. */
export interface Move {
  readonly from: string;
  readonly to: string;
}

interface Due {
  readonly name: string;
  /** Something is, which may have to wait for its key. */
  readonly isDue: boolean;
  /** Until the next is. */
  readonly dueInMs: number | null;
}

const INTERVAL_MS = 1_000;
const SWEEPS_PER_LOOK = 15;
const QUERY_TIMEOUT_MS = 5_000;
/** The database's clock, which decides, and ours may tick a little apart. */
const MARGIN_MS = 2;

/**
 * Looks each second for what nobody is notified of: deliveries that become due, claims of instances that died, and what
 * is stored under former names. One statement for all callbacks of an instance.
 */
export class Sweeper {
  private readonly queues = new Set<string>();
  private readonly alarms = new Map<string, { at: number; timer: NodeJS.Timeout }>();
  private readonly moves: Move[] = [];
  /** Those whose origin exists: most never had another name. */
  private pending: Move[] = [];
  private sweeps = 0;
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> = Promise.resolve();
  private hasStopped = false;

  constructor(
    private readonly connection: Connection,
    private readonly statements: Statements,
    private readonly health: EngineHealth,
    /** What this instance performs itself, as queue and id. */
    private readonly held: () => readonly string[],
    /** Is told when something of a queue may be due. */
    private readonly onDue: (queue: string) => void,
  ) {}

  add(queue: string): void {
    this.queues.add(queue);
    this.timer ??= setTimeout(() => this.tick());
  }

  /** From now on moves these, too. */
  async adopt(moves: readonly Move[]): Promise<void> {
    this.moves.push(...moves);
    await this.lookForMoves();
    // It is tried again, and what is there already must not wait for it.
    await this.move().catch((error: unknown) => this.health.failed(error));
  }

  /** Something of a queue will be due. */
  remind(queue: string, inMs: number): void {
    const at = performance.now() + inMs;
    const next = this.alarms.get(queue);
    if (this.hasStopped || !this.queues.has(queue) || (next && next.at <= at)) return;
    clearTimeout(next?.timer);
    // What is due later is found later.
    if (inMs > 2 * INTERVAL_MS) return;
    const timer = setTimeout(() => {
      this.alarms.delete(queue);
      this.onDue(queue);
    }, inMs + MARGIN_MS);
    this.alarms.set(queue, { at, timer });
  }

  /** Resolves when it has stopped. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    clearTimeout(this.timer);
    for (const { timer } of this.alarms.values()) clearTimeout(timer);
    await this.sweeping;
  }

  private tick(): void {
    this.sweeping = this.sweep().finally(() => {
      if (!this.hasStopped) this.timer = setTimeout(() => this.tick(), INTERVAL_MS);
    });
  }

  private async sweep(): Promise<void> {
    try {
      const params = [[...this.queues], this.held()];
      const { rows } = await this.connection.query(this.statements.sweep, params, QUERY_TIMEOUT_MS);
      for (const { name, isDue, dueInMs } of rows as Due[]) {
        if (isDue) this.onDue(name);
        if (dueInMs !== null) this.remind(name, dueInMs);
      }
      // An instance of an older version may start later, and make a queue by an older name.
      if (++this.sweeps % SWEEPS_PER_LOOK === 0) await this.lookForMoves();
      // Last: what cannot be moved must not keep the rest from being found.
      await this.move();
      this.health.works();
    } catch (error) {
      this.health.failed(error);
    }
  }

  private async lookForMoves(): Promise<void> {
    const { rows } = await this.connection.query(this.statements.queues, [], QUERY_TIMEOUT_MS);
    const existing = new Set((rows as { name: string }[]).map(({ name }) => name));
    this.pending = this.moves.filter(({ from }) => existing.has(from));
  }

  private async move(): Promise<void> {
    if (this.pending.length === 0) return;
    const params = [JSON.stringify(this.pending), this.pending.map(({ from }) => from)];
    const { rows } = await this.connection.query(this.statements.adopt, params, QUERY_TIMEOUT_MS);
    for (const { name } of rows as { name: string }[]) this.onDue(name);
  }
}
