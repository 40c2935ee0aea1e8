import type { JobJson, JobState } from 'bullmq';
import {
  type DeliveryAddress,
  type EngineAttempt,
  type EngineHealth,
  failureOf,
  type HeldClaim,
  type HeldClaims,
  type StoredError,
} from '../engine/index.js';
import { asScriptJob, isScriptsVerdict, type Queue, type ScriptJob } from './queues.js';
import type { Client } from './connections.js';
import { Standing } from './standing.js';
import { historyWriter } from './history.js';
import { fieldsOf, type JobOptions, type OwnFields, readData } from './stored-job.js';
import { tellable } from './tellable.js';

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
  /** How long after that it may begin, in milliseconds: a rate has let it begin for so long. */
  readonly slackMs: number;
}

/** The worker that took the job of an attempt, as the attempt asks and tells it. */
export interface Taker {
  /** Whether BullMQ is to hand out the next job in the step that completes this one. */
  wantsNext(): boolean;
  /** Is told when the job will be due again, in milliseconds since 1970. */
  onRetry(dueAt: number): void;
}

/** The things that a {@link JobAttempt} needs. */
export interface AttemptOptions {
  readonly claims: HeldClaims<TakenJob>;
  readonly client: Client;
  readonly keepCompletedMs: number;
  /** Names this instance in the history of what fails in it. */
  readonly instance: string;
  readonly health: EngineHealth;
}

/** How many jobs that were completed long ago BullMQ removes at most with each that is completed: whoever has the duty removes the rest. */
const FORGOTTEN_AT_ONCE = 50;

/** Writes data to a job while its lock is ours. */
const WRITE_TO_OURS = `
  if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
  redis.call('hset', KEYS[2], 'data', ARGV[2])
  return 1`;

/** An answer of BullMQ: the next job, if it was asked for one, and when the one after that is due. */
export type Answer = unknown[] | void;

/** Makes one attempt at a job, and has BullMQ move the job when the attempt ends. */
export class JobAttempt implements EngineAttempt {
  readonly delivery: EngineAttempt['delivery'];
  readonly attempt: number;
  readonly charged: number;
  private readonly claim: HeldClaim<TakenJob>;
  private readonly standing: Standing;
  private completing: Promise<boolean> | undefined;
  private answer: Answer = undefined;

  constructor(
    private readonly taken: TakenJob,
    private readonly taker: Taker,
    private readonly options: AttemptOptions,
  ) {
    const { address, id, job, takenAt } = taken;
    const data = readData(job.data);
    this.claim = options.claims.hold(taken, takenAt);
    const { key, arguments: args } = data;
    const { headers, givenId } = job.opts as JobOptions;
    this.delivery = {
      ...address,
      id,
      ...(givenId !== undefined && { givenId }),
      ...(key !== undefined && { key }),
      ...(headers && { headers }),
      arguments: args,
    };
    this.standing = new Standing(job.attemptsStarted, job.stalledCounter, data);
    this.attempt = this.standing.attempt;
    this.charged = this.standing.charged;
  }

  get signal(): AbortSignal {
    return this.claim.signal;
  }

  get postponedMs(): number {
    return this.standing.postponedMs;
  }

  /** How often it was spared. */
  get spared(): number {
    return this.standing.spared;
  }

  /** Whether it came back from a dead instance, and may be what ended that. */
  get isSuspect(): boolean {
    return this.standing.isSuspect;
  }

  /** Writes down that a suspect begins. Resolves to whether its claim is still ours. */
  async noteBegin(): Promise<boolean> {
    const { queue, id, token } = this.taken;
    const data = JSON.stringify(this.standing.begun);
    const key = queue.toKey(id);
    return (await this.options.client.eval(WRITE_TO_OURS, 2, `${key}:lock`, key, token, data)) === 1;
  }

  /** Gives back what has not begun: to be taken next or, if it is to wait, after all that wait already. */
  giveBack(waitMs: number): Promise<boolean> {
    return this.retry(waitMs, { data: this.standing.givenBack }, true);
  }

  complete(): Promise<boolean> {
    const { queue, token } = this.taken;
    const keep = { age: this.options.keepCompletedMs / 1_000, limit: FORGOTTEN_AT_ONCE };
    this.completing = this.settle(['completed'], async () => {
      const { result } = await queue.moveToCompleted(this.job, null, keep, token, this.taker.wantsNext());
      this.answer = result;
    });
    return this.completing;
  }

  bury(error: StoredError): Promise<boolean> {
    const { queue, token } = this.taken;
    const fields = fieldsOf({ error, attempts: this.attempt, ...this.standing.dead });
    const remember = this.remembering(error);
    return this.settle(['failed'], async () => {
      const remembered = remember();
      await queue.moveToFailed(this.job, error.message, false, token, false, fields);
      await remembered;
    });
  }

  retryIn(ms: number, error: StoredError): Promise<boolean> {
    return this.retry(Math.round(ms), { error, data: this.standing.failed });
  }

  postpone(ms: number): Promise<boolean> {
    return this.retry(Math.round(ms), { data: this.standing.postponed(ms) });
  }

  release(): Promise<boolean> {
    return this.retry(0, { data: this.standing.released }, true);
  }

  completeIn(): Promise<void> {
    return Promise.reject(new Error('The Redis engine takes no transactions. Complete the delivery without one.'));
  }

  /**
   * Ends the attempt after the callback is through. Resolves when its completion is written down, to what BullMQ has
   * answered.
   */
  async through(): Promise<Answer> {
    this.options.claims.abandon(this.claim);
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

  /**
   * Makes what writes a failure into the history of the job, which is in no way a condition of what becomes of it. It is sent before
   * the move, while the lock is ours.
   */
  private remembering(error: StoredError | undefined): () => Promise<void> {
    if (!error) return async () => {};
    const { client, instance, health } = this.options;
    const { queue, id, token } = this.taken;
    const write = historyWriter(client, queue.toKey(id), failureOf(instance, error));
    return () => write(token).catch((cause: unknown) => health.failed(cause));
  }

  /** @param isFirst whether it comes before all that wait already */
  private async retry(ms: number, own: OwnFields, isFirst = false): Promise<boolean> {
    const { queue, id, token } = this.taken;
    const due = Date.now() + ms;
    const fieldsToUpdate = fieldsOf({ ...own, due });
    const remember = this.remembering(own.error);
    const wasOurs = await this.settle(['delayed', 'waiting'], async () => {
      const remembered = remember();
      if (ms === 0) await queue.retryJob(id, isFirst, token, { fieldsToUpdate });
      else await queue.moveToDelayed(id, Date.now(), ms, token, { fieldsToUpdate, fetchNext: false });
      await remembered;
    });
    if (wasOurs) this.taker.onRetry(due);
    return wasOurs;
  }

  /** @param states where the job is if the move was made and only the answer was lost */
  private settle(states: readonly JobState[], move: () => Promise<void>): Promise<boolean> {
    let isAgain = false;
    return this.options.claims.settle(this.claim, async () => {
      try {
        await move();
        return true;
      } catch (error) {
        if (isScriptsVerdict(error)) return isAgain && (await this.isIn(states));
        isAgain = true;
        this.options.health.failed(error);
        throw tellable(error);
      }
    });
  }

  private async isIn(states: readonly JobState[]): Promise<boolean> {
    const { queue, id } = this.taken;
    const state = await queue.getState(id).catch(() => undefined);
    return states.some((one) => one === state);
  }
}
