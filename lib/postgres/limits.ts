import { type DurableCallback, type GroupLimit, timers } from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import { queueName } from './queue-name.js';
import type { LimitStatements } from './statements/limits.js';

const { sleep } = timers;

const BOOT_TIMEOUT_MS = 30_000;
const QUERY_TIMEOUT_MS = 5_000;
/** What an index takes on a table of some hundred million. */
const INDEX_TIMEOUT_MS = 3_600_000;
const PAUSE_MS = 500;

/** Prepares the database for callbacks with limits over all instances. */
export class Limits {
  /** By queue. */
  private readonly grouped = new Map<string, GroupLimit>();
  /** In each queue, the time up to which groups were found. */
  private readonly places = new Map<string, string | null>();

  /** @param statements are absent where the schema is an older version's, or this role may not use the table of limits */
  constructor(
    private readonly connection: Connection,
    readonly statements: LimitStatements | undefined,
    private readonly schema: string,
    private readonly mayMigrate: boolean,
  ) {}

  /** Makes what callbacks need for their limits. Rejects if that is not there, and this engine may not make it. */
  async prepare(callbacks: readonly DurableCallback[]): Promise<void> {
    const limited = callbacks.filter(({ limits }) => limits);
    if (limited.length === 0) return;
    const { statements } = this;
    if (!statements) {
      throw new Error(
        `${limited[0].callback} has limits, and the schema "${this.schema}" lacks the table and the functions for them, or this role may ` +
          `not use them. Run what upgradeSql('${this.schema}') returns, and grant the role what lib/postgres/README.md says.`,
      );
    }
    const grouped = limited.flatMap((callback) => (callback.limits?.groups ? [callback] : []));
    if (grouped.length > 0) await this.makeIndex(statements, grouped[0]);
    for (const callback of grouped) {
      this.grouped.set(queueName(callback, callback.isOrdered), callback.limits!.groups!);
    }
  }

  /**
   * Says of what waits and was stored without its group, what that is: of what was there before, or is of other builds. It does
   * so a portion at a time, around and around. What is due soon is found sooner, by the claims.
   */
  async assignGroups(): Promise<void> {
    for (const [queue, { by }] of this.grouped) {
      const params = [queue, by, this.places.get(queue) ?? null];
      const { rows } = await this.connection.query(this.statements!.assignGroups, params, QUERY_TIMEOUT_MS);
      const [{ after, isMore }] = rows as { after: string | null; isMore: boolean }[];
      this.places.set(queue, isMore ? after : null);
    }
  }

  /** Makes the index without stopping anybody. Several instances may do so at once, and one may have been broken off before. */
  private async makeIndex(statements: LimitStatements, { callback }: DurableCallback): Promise<void> {
    const { connection } = this;
    const make = connection.isEmbedded ? statements.makeIndexAlone : statements.makeIndex;
    for (;;) {
      const { isThere, isValid, isBeingMade } = await this.findIndex(statements);
      if (isThere && isValid) return;
      if (!this.mayMigrate) {
        throw new Error(
          `${callback} has limits.groupBy, and the schema "${this.schema}" lacks the index for that. Run, in no transaction: ` +
            `${statements.makeIndex.replaceAll(/\s+/g, ' ')};`,
        );
      }
      if (isBeingMade) await sleep(PAUSE_MS);
      else if (isThere) await this.try(statements.dropIndex);
      else await this.try(make);
    }
  }

  /** Another instance may be doing the same at this moment: what has come of it is looked at anew. */
  private async try(statement: string): Promise<void> {
    const sentAt = performance.now();
    try {
      await this.connection.query(statement, undefined, INDEX_TIMEOUT_MS);
    } catch (error) {
      if (!OF_TWO_AT_ONCE.includes((error as { code?: string }).code ?? '')) throw error;
      await sleep(Math.max(0, PAUSE_MS - (performance.now() - sentAt)));
    }
  }

  private async findIndex({ findIndex }: LimitStatements) {
    const { rows } = await this.connection.query(findIndex, [], BOOT_TIMEOUT_MS);
    return rows[0] as { isThere: boolean; isValid: boolean; isBeingMade: boolean };
  }
}

/** What Postgres says to one of two that make, or remove, the same at once: it is there, it is gone, or each waits for the other. */
const OF_TWO_AT_ONCE = ['42P07', '23505', '42704', '40P01', '42P01'];
