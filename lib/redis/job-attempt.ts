import type { JobJson, JobState } from 'bullmq';
import type {
  DeliveryAddress,
  EngineAttempt,
  EngineHealth,
  HeldClaim,
  HeldClaims,
  StoredError,
} from '../engine/index.js';
import { asScriptJob, isScriptsVerdict, type Queue, type ScriptJob } from './queues.js';
import { attemptNumber, fieldsOf, type JobData, type OwnFields, readData } from './stored-job.js';

/** A job that this instance has taken. */
export interface TakenJob {
  readonly queue: Queue;
  readonly address: DeliveryAddress;
  readonly id: string;
  readonly job: JobJson;
  /** The lock is ours while it holds this token. */
  readonly token: string;
  /** When it was asked for, by `performance.now()`. The lock is not older than that. */
  readonly takenAt: number;
}

/** The worker that took the job of an attempt, as the attempt asks and tells it. */
export interface Taker {
  /** Whether BullMQ is to hand out the next job in the step that completes this one. */
  wantsNext(): boolean;
  /** Is told when the job will be due again, in milliseconds since 1970. */
  onRetry(dueAt: number): void;
}

/** An answer of BullMQ: the next job, if it was asked for one, and when the one after that is due. */
export type Answer = unknown[] | void;

/** Makes one attempt at a job, and has BullMQ move the job when the attempt ends. */
export class JobAttempt implements EngineAttempt {
  readonly delivery: EngineAttempt['delivery'];
  readonly attempt: number;
  readonly charged: number;
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
    this.attempt = this.charged = attemptNumber(job.attemptsStarted, this.data);
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
    // Whoever retries the job, a dashboard too, is to have all attempts before it again.
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

  /**
   * Ends the attempt after the callback is through. Resolves when its completion is written down, to what BullMQ has
   * answered.
   */
  async through(): Promise<Answer> {
    this.claims.abandon(this.claim);
    await this.completing?.catch(() => {});
    return this.answer;
  }

  /**
   * The job, as BullMQ's scripts take it. A stored job lacks its id. With one attempt allowed, BullMQ tells whoever watches
   * the queue that a failed job is dead.
   */
  private get job(): ScriptJob {
    const { job, id } = this.taken;
    return asScriptJob({ ...job, id, opts: { ...job.opts, attempts: 1 } });
  }

  /** @param isFirst whether it comes before all that wait already */
  private async retry(ms: number, own: OwnFields, isFirst = false): Promise<boolean> {
    const { queue, id, token } = this.taken;
    const due = Date.now() + ms;
    const fieldsToUpdate = fieldsOf({ ...own, due });
    const wasOurs = await this.settle(['delayed', 'waiting'], async () => {
      if (ms === 0) await queue.retryJob(id, isFirst, token, { fieldsToUpdate });
      else await queue.moveToDelayed(id, Date.now(), ms, token, { fieldsToUpdate, fetchNext: false });
    });
    if (wasOurs) this.taker.onRetry(due);
    return wasOurs;
  }

  /** @param states where the job is if the move was made and only the answer was lost */
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
