import type { Alarms } from './alarms.js';
import type { Calls } from './calls.js';
import type { Claims } from './claims.js';
import type { Connection } from './connection/connection.js';
import type { Instances, Move } from './instances.js';
import type { Statements } from './statements/statements.js';

/** The answer of the database about one queue. */
interface Due {
  readonly name: string;
  /** Something is due, though it may have to wait for its key. */
  readonly isDue: boolean;
  /** Something is due that may have ended the process of another instance. */
  readonly isSuspected: boolean;
  /** How long it is until the next delivery is due. */
  readonly dueInMs: number | null;
}

const SWEEPS_PER_LOOK = 15;
const QUERY_TIMEOUT_MS = 5_000;

/** The things that a {@link Sweeper} needs. */
export interface SweeperOptions {
  readonly connection: Connection;
  readonly statements: Statements;
  readonly instances: Instances;
  readonly claims: Claims;
  readonly calls: Calls;
  readonly alarms: Alarms;
}

/**
 * Looks for what nobody is told of: deliveries that become due, claims of instances that died, and deliveries that are
 * stored under former names. Needs one statement for all callbacks.
 */
export class Sweeper {
  /** The moves from queues that exist. Most callbacks never had another name. */
  private pending: readonly Move[] = [];
  private sweeps = 0;

  constructor(private readonly options: SweeperOptions) {}

  /** Looks through all queues that somebody works on, as the only instance that does. */
  async sweepAll(): Promise<void> {
    const { instances } = this.options;
    await this.sweep(instances.worked, true);
    if (this.sweeps++ % SWEEPS_PER_LOOK === 0) {
      // An instance of an older version may start later, and make a queue by an older name.
      this.pending = await this.existing(instances.wanted);
      await instances.forgetDead();
    }
    // This comes last: what cannot be moved must not keep the rest from being found.
    await this.move(this.pending);
  }

  /** Looks for what is due in some queues, for this instance alone. */
  async sweepOwn(queues: readonly string[]): Promise<void> {
    await this.sweep(queues, false);
  }

  /** Moves deliveries between queues now. */
  async adopt(moves: readonly Move[]): Promise<void> {
    await this.move(await this.existing(moves));
  }

  private async sweep(queues: readonly string[], takesBack: boolean): Promise<void> {
    const { statements, claims, calls, alarms } = this.options;
    const rows = await this.query(statements.sweep, [queues, claims.names, takesBack]);
    for (const { name, isDue, isSuspected, dueInMs } of rows as Due[]) {
      if (isDue) calls.look(name);
      if (isSuspected) calls.lookForSuspects(name);
      if (dueInMs !== null) alarms.set(name, dueInMs);
    }
  }

  private async existing(moves: readonly Move[]): Promise<readonly Move[]> {
    if (moves.length === 0) return [];
    const rows = await this.query(this.options.statements.queues, []);
    const existing = new Set((rows as { name: string }[]).map(({ name }) => name));
    return moves.filter(({ from }) => existing.has(from));
  }

  private async move(moves: readonly Move[]): Promise<void> {
    if (moves.length === 0) return;
    const { statements, calls } = this.options;
    const rows = await this.query(statements.adopt, [JSON.stringify(moves), moves.map(({ from }) => from)]);
    for (const { name } of rows as { name: string }[]) calls.look(name);
  }

  private async query(statement: string, params: unknown[]): Promise<unknown[]> {
    const { rows } = await this.options.connection.query(statement, params, QUERY_TIMEOUT_MS);
    return rows;
  }
}
