import type { Alarms } from './alarms.js';
import type { Calls } from './calls.js';
import type { Claims } from './claims.js';
import type { Connection } from './connection/connection.js';
import type { Instances, Move } from './instances.js';
import type { Statements } from './statements/statements.js';
import type { Due } from './statements/sweep.js';

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

  /** Does what is left to the one instance that looks through all queues. */
  async tidy(): Promise<void> {
    const { instances } = this.options;
    if (this.sweeps++ % SWEEPS_PER_LOOK === 0) {
      // An instance of an older version may start later, and make a queue by an older name.
      this.pending = await this.existing(instances.wanted);
      await instances.forgetDead();
    }
    // This comes last: what cannot be moved must not keep the rest from being found.
    await this.move(this.pending);
  }

  /** Moves deliveries between queues now. */
  async adopt(moves: readonly Move[]): Promise<void> {
    await this.move(await this.existing(moves));
  }

  /**
   * Looks through some queues.
   *
   * @param takesBack whether to take back claims that have run out
   */
  async sweep(queues: readonly string[], takesBack: boolean): Promise<void> {
    const { statements, claims } = this.options;
    this.callFor((await this.query(statements.sweep, [queues, claims.names, takesBack])) as Due[]);
  }

  /** Has instances look for what was found. */
  callFor(found: readonly Due[]): void {
    const { calls, alarms } = this.options;
    for (const { name, isDue, isSuspected, dueInMs } of found) {
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
