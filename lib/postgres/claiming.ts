import { randomUUID } from 'node:crypto';
import { type EngineHealth, timers } from '../engine/index.js';
import type { ClaimedJob } from './claimed-job.js';
import { type Connection, NotSentError } from './connection/connection.js';
import type { Statements } from './statements/statements.js';
import type { HeldUp, Wanted, WithinLimits } from './within-limits.js';

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

/** What a claim is asked for, beside the queue, and how many. */
interface Asked {
  readonly wanted: Wanted;
  readonly most: number;
  /** The parameters of the statement that has no limits. */
  readonly more?: readonly unknown[];
  readonly within: WithinLimits | undefined;
}

interface Row extends Omit<ClaimedJob, 'name' | 'token' | 'claimedAt' | 'slackMs' | 'isLoneSuspect'>, Partial<HeldUp> {
  readonly lastKey?: string | null;
  readonly isEnd?: boolean;
  readonly isFull?: boolean;
}

interface Answered {
  readonly jobs: ClaimedJob[];
  /** Where a claim in order has come to, if it has looked. */
  readonly place?: Row;
  readonly isHeldUp: boolean;
  /** Whether to ask again at once: another instance has claimed of the same key. */
  readonly isAgain: boolean;
}

/** The statements that claim without limits. */
const STATEMENTS = { due: 'claim', 'in order': 'claimInOrder', suspect: 'claimSuspect' } as const;
/** What a claim within limits is given in place of the parameters of others. */
const NONE = [null, null, null];

/** Claims jobs for this instance. What it has claimed without hearing of it, it gives back. */
export class Claiming {
  /** In each ordered queue, the key that the last claim has come to. The next one goes on after it. */
  private readonly places = new Map<string, string>();
  /** The ordered queues whose next claim begins with the keys that it is asked for. Every other one begins with its walk. */
  private readonly askedNext = new Set<string>();
  private hasStopped = false;

  constructor(private readonly options: ClaimingOptions) {}

  /** Claims what is due of a queue that keeps no order. */
  async claim(queue: string, most: number, within?: WithinLimits): Promise<Found> {
    const { jobs } = await this.ask(queue, { wanted: 'due', most, within });
    return { jobs, isAll: jobs.length < most };
  }

  /**
   * Claims what is due, and next of its key.
   *
   * @param keys of which something may be next, as this instance has heard. They come first every other time: if they
   * always did, those that always have something next would leave nothing for the others
   */
  async claimInOrder(queue: string, most: number, keys: readonly string[], within?: WithinLimits): Promise<Found> {
    const from = this.places.get(queue) ?? null;
    const walksFirst = !this.askedNext.delete(queue);
    if (walksFirst) this.askedNext.add(queue);
    const more = [keys, from, walksFirst];
    const { jobs, place, isHeldUp, isAgain } = await this.ask(queue, { wanted: 'in order', most, more, within });
    if (!place) return { jobs, isAll: !isAgain };
    if (place.isEnd) this.places.delete(queue);
    else if (typeof place.lastKey === 'string') this.places.set(queue, place.lastKey);
    const isRest = jobs.length === 0 || !place.isFull;
    return { jobs, isAll: isHeldUp || (jobs.length < most && isRest && (!place.isEnd || from === null)) };
  }

  /** Claims a delivery that may be what has ended the process of another instance. */
  async claimSuspect(queue: string, isAlone: boolean, within?: WithinLimits): Promise<ClaimedJob | undefined> {
    const { jobs } = await this.ask(queue, { wanted: 'suspect', most: 1, more: [isAlone], within });
    return jobs[0] && { ...jobs[0], isLoneSuspect: isAlone };
  }

  stop(): void {
    this.hasStopped = true;
  }

  private async ask(queue: string, asked: Asked): Promise<Answered> {
    const { connection, leaseMs } = this.options;
    const { wanted, most, more = [], within } = asked;
    const slackMs = within?.slackMs ?? Infinity;
    const token = randomUUID();
    const claimedAt = performance.now();
    try {
      const statement = within?.statement ?? this.options.statements[STATEMENTS[wanted]];
      const params: unknown[] = [queue, most, token, leaseMs / 1_000];
      if (within) params.push(within.limitsFor(slackMs), wanted, ...NONE.slice(more.length), ...more);
      else params.push(...more);
      const { rows } = await connection.query(statement, params, Math.min(LONGEST_CLAIM_MS, leaseMs / 2));
      const jobs = (rows as Row[]).filter(({ id }) => id !== null);
      const heldUp = (rows as Row[]).find(({ heldUpBy }) => heldUpBy);
      within?.answered(wanted, heldUp as HeldUp | undefined, jobs.length);
      return {
        jobs: jobs.map((job) => ({ ...job, name: queue, token, claimedAt, slackMs, isLoneSuspect: false })),
        place: (rows as Row[]).find((row) => row.id === null && row !== heldUp),
        isHeldUp: heldUp !== undefined,
        isAgain: false,
      };
    } catch (error) {
      // Two have claimed of one key at the same moment. The other one has it.
      if ((error as { code?: unknown }).code === UNIQUE_VIOLATION) return { jobs: [], isHeldUp: false, isAgain: true };
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
