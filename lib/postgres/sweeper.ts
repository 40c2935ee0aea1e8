// Not the global ones, which fake timers replace.
import { clearTimeout, setTimeout } from 'node:timers';
import type { Connection } from './connection.js';
import type { Health } from './health.js';
import type { Statements } from './statements.js';

/** From one queue to another. */
export interface Move {
  readonly from: string;
  readonly to: string;
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
    private readonly health: Health,
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
    await this.move();
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
      // An instance of an older version may start later, and make a queue by an older name.
      if (++this.sweeps % SWEEPS_PER_LOOK === 0) await this.lookForMoves();
      await this.move();
      const params = [[...this.queues]];
      const { rows } = await this.connection.query(this.statements.sweep, params, QUERY_TIMEOUT_MS);
      this.health.works();
      for (const { name, dueInMs } of rows as { name: string; dueInMs: number | null }[]) {
        if (dueInMs === null) continue;
        if (dueInMs <= 0) this.onDue(name);
        else this.remind(name, dueInMs);
      }
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
