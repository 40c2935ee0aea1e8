import { randomUUID } from 'node:crypto';
import { type EngineHealth, timers } from '../engine/index.js';
import type { ClaimedJob } from './claimed-job.js';
import { type Connection, NotSentError } from './connection/connection.js';
import type { Statements } from './statements/statements.js';

const { sleep } = timers;

const LONGEST_CLAIM_MS = 5_000;
const PAUSE_MS = 500;
const UNIQUE_VIOLATION = '23505';

/** The things that {@link Claiming} needs. */
export interface ClaimingOptions {
  readonly connection: Connection;
  readonly statements: Statements;
  readonly leaseMs: number;
  readonly health: EngineHealth;
}

/** What a claim has found. */
export interface Found {
  readonly jobs: readonly ClaimedJob[];
  /** Whether there is nothing else that may be claimed now. */
  readonly isAll: boolean;
}

interface Row extends Omit<ClaimedJob, 'name' | 'token' | 'claimedAt' | 'isLoneSuspect'> {
  readonly lastKey?: string | null;
  readonly isEnd?: boolean;
  readonly isFull?: boolean;
}

/** Claims jobs for this instance. What it has claimed without hearing of it, it gives back. */
export class Claiming {
  /** In each ordered queue, the key that the last claim has come to. The next one goes on after it. */
  private readonly places = new Map<string, string>();
  /** The ordered queues whose next claim begins with the keys that it is asked for. Every other one begins with its walk. */
  private readonly askedNext = new Set<string>();
  private hasStopped = false;

  constructor(private readonly options: ClaimingOptions) {}

  /** Claims what is due of a queue that keeps no order. */
  async claim(queue: string, most: number): Promise<Found> {
    const { jobs } = await this.ask(queue, this.options.statements.claim, most);
    return { jobs, isAll: jobs.length < most };
  }

  /**
   * Claims what is due, and next of its key.
   *
   * @param keys of which something may be next, as this instance has heard. They come first every other time: if they
   * always did, those that always have something next would leave nothing for the others
   */
  async claimInOrder(queue: string, most: number, keys: readonly string[]): Promise<Found> {
    const from = this.places.get(queue) ?? null;
    const walksFirst = !this.askedNext.delete(queue);
    if (walksFirst) this.askedNext.add(queue);
    const more = [keys, from, walksFirst];
    const { jobs, place } = await this.ask(queue, this.options.statements.claimInOrder, most, more);
    if (!place) return { jobs, isAll: false };
    if (place.isEnd) this.places.delete(queue);
    else if (typeof place.lastKey === 'string') this.places.set(queue, place.lastKey);
    const isRest = jobs.length === 0 || !place.isFull;
    return { jobs, isAll: jobs.length < most && isRest && (!place.isEnd || from === null) };
  }

  /** Claims a delivery that may be what has ended the process of another instance. */
  async claimSuspect(queue: string, isAlone: boolean): Promise<ClaimedJob | undefined> {
    const { jobs } = await this.ask(queue, this.options.statements.claimSuspect, 1, [isAlone]);
    return jobs[0] && { ...jobs[0], isLoneSuspect: isAlone };
  }

  stop(): void {
    this.hasStopped = true;
  }

  private async ask(
    queue: string,
    statement: string,
    most: number,
    more: readonly unknown[] = [],
  ): Promise<{ jobs: ClaimedJob[]; place?: Row }> {
    const { connection, leaseMs } = this.options;
    const token = randomUUID();
    const claimedAt = performance.now();
    try {
      const params = [queue, most, token, leaseMs / 1_000, ...more];
      const { rows } = await connection.query(statement, params, Math.min(LONGEST_CLAIM_MS, leaseMs / 2));
      const jobs = (rows as Row[]).filter(({ id }) => id !== null);
      return {
        jobs: jobs.map((job) => ({ ...job, name: queue, token, claimedAt, isLoneSuspect: false })),
        place: (rows as Row[]).find(({ id }) => id === null),
      };
    } catch (error) {
      // Two have claimed of one key at the same moment. The other one has it.
      if ((error as { code?: unknown }).code === UNIQUE_VIOLATION) return { jobs: [] };
      if (!(error instanceof NotSentError)) void this.unclaim(queue, token);
      throw error;
    }
  }

  /**
   * Gives back what a claim has taken whose answer did not come. The claim may still be under way, so this is repeated until
   * what was taken comes back anyway.
   */
  private async unclaim(queue: string, token: string): Promise<void> {
    const { connection, statements, leaseMs } = this.options;
    const over = performance.now() + leaseMs;
    while (!this.hasStopped && performance.now() < over) {
      await sleep(PAUSE_MS, undefined, { ref: false });
      const found = await connection.query(statements.unclaim, [queue, token], LONGEST_CLAIM_MS).catch(() => undefined);
      if (found && found.rows.length > 0) return;
    }
  }
}
