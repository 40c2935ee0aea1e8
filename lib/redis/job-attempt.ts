import type { JobJson, JobState } from 'bullmq';
import type {
  DeliveryAddress,
  EngineAttempt,
  EngineHealth,
  HeldClaim,
  HeldClaims,
  StoredError,
} from '../engine/index.js';
import { isScriptsVerdict, type Queue } from './queues.js';
import { attemptNumber, fieldsOf, type JobData, type OwnFields, readData } from './stored-job.js';

/** A job that this instance has taken. */
export interface TakenJob {
  readonly queue: Queue;
  readonly address: DeliveryAddress;
  readonly id: string;
  readonly job: JobJson;
  /** By which its lock is known as ours. */
  readonly token: string;
  /** When it was asked for: no lock is older. */
  readonly takenAt: number;
}

/** One who takes jobs. */
export interface Taker {
  /** An attempt is being completed: whether the next job is wanted in the same step. */
  wantsNext(): boolean;
  onRetry(dueAt: number): void;
}

/** What BullMQ answers: the next job, if it was asked for one, and when the next is due. */
export type Answer = unknown[] | void;

/** An attempt at a job: has BullMQ move it when it has ended. */
export class JobAttempt implements EngineAttempt {
  readonly delivery: EngineAttempt['delivery'];
  readonly attempt: number;
  private readonly claim: HeldClaim<TakenJob>;
  private readonly data: JobData;
  private completing: Promise<boolean> | undefined;
  private answer: Answer = undefined;

  constructor(
    private readonly taken: TakenJob,
    private readonly taker: Taker,
    private readonly claims: HeldClaims<TakenJob>,
    private readonly keepCompletedMs: number,
    private readonly health: EngineHealth,
  ) {
    const { address, id, job, takenAt } = taken;
    this.data = readData(job.data);
    this.claim = claims.hold(taken, takenAt);
    const { key, arguments: args } = this.data;
    this.delivery = { ...address, id, ...(key !== undefined && { key }), arguments: args };
    this.attempt = attemptNumber(job.attemptsStarted, this.data);
  }

  get signal(): AbortSignal {
    return this.claim.signal;
  }

  complete(): Promise<boolean> {
    const { queue, token } = this.taken;
    const keep = { age: this.keepCompletedMs / 1_000 };
    this.completing = this.settle(['completed'], async () => {
      const { result } = await queue.moveToCompleted(this.job, null, keep, token, this.taker.wantsNext());
      this.answer = result;
    });
    return this.completing;
  }

  bury(error: StoredError): Promise<boolean> {
    const { queue, token, job } = this.taken;
    // Whoever retries it, a dashboard too, has all its attempts before it.
    const data = { ...this.data, uncounted: job.attemptsStarted };
    const fields = fieldsOf({ error, attempts: this.attempt, data });
    return this.settle(['failed'], async () => {
      await queue.moveToFailed(this.job, error.message, false, token, false, fields);
    });
  }

  retryIn(ms: number, error: StoredError): Promise<boolean> {
    return this.retry(Math.round(ms), { error });
  }

  release(): Promise<boolean> {
    const { uncounted = 0 } = this.data;
    return this.retry(0, { data: { ...this.data, uncounted: uncounted + 1 } }, true);
  }

  completeIn(): Promise<void> {
    return Promise.reject(new Error('The Redis engine takes no transactions. Complete the delivery without one.'));
  }

  /** The callback is through. Resolves when the attempt is, to what BullMQ has answered if it was completed. */
  async through(): Promise<Answer> {
    this.claims.abandon(this.claim);
    await this.completing?.catch(() => {});
    return this.answer;
  }

  /** What is stored of a job does not say its id again; and whoever watches the queue hears that a dead one is. */
  private get job() {
    const { job, id } = this.taken;
    return { ...job, id, opts: { ...job.opts, attempts: 1 } } as never;
  }

  /** @param isFirst whether nothing overtakes it that waits already */
  private async retry(ms: number, own: OwnFields, isFirst = false): Promise<boolean> {
    const { queue, id, token } = this.taken;
    const due = Date.now() + ms;
    const fieldsToUpdate = fieldsOf({ ...own, due });
    const hasHeld = await this.settle(['delayed', 'waiting'], async () => {
      if (ms === 0) await queue.retryJob(id, isFirst, token, { fieldsToUpdate });
      else await queue.moveToDelayed(id, Date.now(), ms, token, { fieldsToUpdate, fetchNext: false });
    });
    if (hasHeld) this.taker.onRetry(due);
    return hasHeld;
  }

  /** @param states where the job is when the move was made, though its answer was lost */
  private settle(states: readonly JobState[], move: () => Promise<void>): Promise<boolean> {
    let isAgain = false;
    return this.claims.settle(this.claim, async () => {
      try {
        await move();
        return true;
      } catch (error) {
        if (isScriptsVerdict(error)) return isAgain && (await this.isIn(states));
        isAgain = true;
        this.health.failed(error);
        throw error;
      }
    });
  }

  private async isIn(states: readonly JobState[]): Promise<boolean> {
    const { queue, id } = this.taken;
    const state = await queue.getState(id).catch(() => undefined);
    return states.some((one) => one === state);
  }
}
