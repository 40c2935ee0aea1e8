import { randomUUID } from 'node:crypto';
import type { JobJson } from 'bullmq';
import {
  ClaimLoop,
  type DeliveryAddress,
  type EngineAttempt,
  type EngineHealth,
  type Quarantine,
  timers,
} from '../engine/index.js';
import { NO_MORE } from './amended-scripts.js';
import type { Claims } from './claims.js';
import type { Answer, JobAttempt, TakenJob } from './job-attempt.js';
import type { Queue } from './queues.js';
import type { Slots } from './slots.js';
import type { WithinLimits } from './within-limits.js';

const { clearTimeout, LONGEST_TIMER_MS, setImmediate, setTimeout } = timers;

/** Whose jobs a worker performs, and with what. */
export interface WorkerOptions {
  readonly queue: Queue;
  /** The callback's address, which may have been another one when the queue was made. */
  readonly address: DeliveryAddress;
  readonly slots: Slots;
  /** Takes jobs within the limits of the callback, if it has any. */
  readonly within?: WithinLimits;
  readonly claims: Claims;
  /** Keeps the suspects of all callbacks of this instance apart. */
  readonly quarantine: Quarantine;
  readonly perform: (attempt: EngineAttempt) => Promise<void>;
  readonly health: EngineHealth;
  /** Is told when a slot is free again. */
  readonly onRoom: () => void;
}

/** How a job was asked for. */
type Asked = Pick<TakenJob, 'token' | 'takenAt' | 'slackMs'>;

/** How long a suspect waits until it is taken again that finds another one running; each after the other. */
const PUT_BACK_MS = 100;
const LONGEST_PUT_BACK_MS = 1_000;

/** Performs the jobs of one queue: takes as many as there are slots for, whenever some may be due. */
export class Worker {
  readonly queue: Queue;
  private readonly instance = randomUUID();
  private readonly loop: ClaimLoop;
  private tokens = 0;
  /** How many suspects were put back since the last one was let in. */
  private putBack = 0;
  private giving: Promise<unknown> = Promise.resolve();
  private dueAt = Infinity;
  private alarm: NodeJS.Timeout | undefined;

  constructor(private readonly options: WorkerOptions) {
    const { queue, slots, health } = options;
    this.queue = queue;
    this.loop = new ClaimLoop({
      hasRoom: () => slots.isOneFree,
      claim: () => this.takeOne(),
      onFailure: (error) => health.failed(error),
      onFull: () => slots.waitFor(this),
    });
  }

  get hasRoom(): boolean {
    return !this.loop.hasStopped && this.options.slots.isOneFree;
  }

  /** Has it look for jobs that are due. */
  wake(): void {
    this.loop.wake();
  }

  /** Wakes it when something becomes due, at a time in milliseconds since 1970. */
  remind(at: number): void {
    if (this.loop.hasStopped || at >= this.dueAt) return;
    clearTimeout(this.alarm);
    this.dueAt = at;
    const waitMs = Math.min(Math.max(0, at - Date.now()), LONGEST_TIMER_MS);
    this.alarm = setTimeout(() => {
      this.dueAt = Infinity;
      this.wake();
    }, waitMs).unref();
  }

  /** Has it take no more jobs. Resolves when it has given back what it had just taken. */
  async stop(): Promise<void> {
    const stopped = this.loop.stop();
    clearTimeout(this.alarm);
    await stopped;
    // A last job may have come with the completion of another.
    await new Promise((resolve) => setImmediate(resolve));
    await this.giving;
  }

  /** Takes one job into one slot. Resolves to whether there was one, as there may be more then. */
  private async takeOne(): Promise<boolean> {
    const { queue, slots, within, health, onRoom } = this.options;
    slots.take();
    const token = `${this.instance}:${this.tokens++}`;
    const asked = { token, takenAt: performance.now(), slackMs: within?.slackMs ?? Infinity };
    let job: TakenJob | undefined;
    let isMore = true;
    try {
      const answer = await (within ? within.take(queue, token, asked.slackMs) : queue.moveToActive(token));
      isMore = (answer as Answer)?.[3] !== NO_MORE;
      job = this.read(answer, asked);
      health.works();
    } finally {
      if (!job) {
        slots.release();
        onRoom();
      }
    }
    if (job) void this.begin(job);
    return job !== undefined && isMore;
  }

  /** Reads an answer of BullMQ: a job, or when the next one is due. */
  private read(answer: Answer, asked: Asked): TakenJob | undefined {
    const [job, id, pauseMs, dueAt] = (answer ?? []) as [JobJson | null, string, number, number];
    if (pauseMs > 0) this.remind(Date.now() + pauseMs);
    if (dueAt > 0) this.remind(dueAt);
    const { queue, address, within } = this.options;
    const againInMs = within?.againInMs(answer);
    if (againInMs !== undefined) this.remind(Date.now() + againInMs);
    return job ? { queue, address, id, job, ...asked } : undefined;
  }

  /** Performs one job after the other in one slot, for as long as there is a next. */
  private async begin(job: TakenJob): Promise<void> {
    for (let next: TakenJob | undefined = job; next;) next = await this.attempt(next);
    this.options.slots.release();
    if (this.loop.isWanted) this.wake();
    this.options.onRoom();
  }

  /** Makes an attempt. Resolves to the next job, which BullMQ hands out in the same step in which it completes this one. */
  private async attempt(job: TakenJob): Promise<TakenJob | undefined> {
    const { slots, claims, quarantine, within, perform } = this.options;
    let askedAt: number | undefined;
    const wantsNext = () => {
      // That would not look whether the limits let it begin.
      if (within || this.loop.hasStopped || slots.isWantedBeside(this)) return false;
      askedAt = performance.now();
      return true;
    };
    const attempt = claims.attemptAt(job, { wantsNext, onRetry: (dueAt) => this.remind(dueAt) });
    let answer: Answer = undefined;
    if (this.loop.hasStopped || (!attempt.isSuspect && within?.admit(job) === false)) {
      this.holdUpStop(this.giveBack(attempt, 0));
    } else if (!attempt.isSuspect) {
      await perform(attempt);
      answer = await attempt.through();
    } else if (await this.letIn(attempt, job)) {
      await perform(attempt);
      answer = await attempt.through();
      quarantine.leave('ended');
    }
    if (askedAt !== undefined) return this.read(answer, { token: job.token, takenAt: askedAt, slackMs: Infinity });
    // Nobody has asked for the next job, so there may be one.
    this.wake();
    return undefined;
  }

  /** Lets a suspect begin, if not too many run here. Otherwise it is given back, and costs nothing. */
  private async letIn(attempt: JobAttempt, job: TakenJob): Promise<boolean> {
    const { quarantine } = this.options;
    if (!quarantine.tryEnter(attempt.spared)) {
      const givingBack = this.giveBack(attempt, this.pauseMs());
      this.holdUpStop(givingBack);
      await givingBack;
      return false;
    }
    const noting = this.note(attempt, job, quarantine.isForOne);
    this.holdUpStop(noting);
    const mayBegin = await noting;
    if (mayBegin) this.putBack = 0;
    else quarantine.leave('none');
    return mayBegin;
  }

  /** Resolves to whether a suspect may begin, which is written down if it is alone. */
  private async note(attempt: JobAttempt, job: TakenJob, isAlone: boolean): Promise<boolean> {
    const isOurs = !isAlone || (await attempt.noteBegin().catch((error: unknown) => this.options.health.failed(error)));
    if (isOurs && !this.loop.hasStopped && this.options.within?.admit(job) !== false) return true;
    await this.giveBack(attempt, 0);
    return false;
  }

  /** @param work never rejects */
  private holdUpStop(work: Promise<unknown>): void {
    this.giving = this.giving.then(() => work);
  }

  private pauseMs(): number {
    return Math.min(++this.putBack * PUT_BACK_MS, LONGEST_PUT_BACK_MS);
  }

  private async giveBack(attempt: JobAttempt, waitMs: number): Promise<void> {
    await attempt.giveBack(waitMs).catch((error: unknown) => this.options.health.failed(error));
  }
}
