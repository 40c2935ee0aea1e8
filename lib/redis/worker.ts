import { randomUUID } from 'node:crypto';
import type { JobJson } from 'bullmq';
import { type DeliveryAddress, type EngineAttempt, type EngineHealth, timers } from '../engine/index.js';
import type { Queue } from './queues.js';
import type { Claims } from './claims.js';
import type { Answer, TakenJob } from './job-attempt.js';

const { clearTimeout, LONGEST_TIMER_MS, setImmediate, setTimeout } = timers;

/** How many attempts of one callback there may be at once, whichever queue their jobs are from: its own, or a former one. */
export class Slots {
  private taken = 0;
  private readonly waiting = new Set<Worker>();

  constructor(private readonly concurrency: number) {}

  get isOneFree(): boolean {
    return this.taken < this.concurrency;
  }

  /** Whether another than this one waits for a slot. */
  isWantedBeside(worker: Worker): boolean {
    return this.waiting.size > (this.waiting.has(worker) ? 1 : 0);
  }

  take(): void {
    this.taken++;
  }

  /** To be woken when a slot is free, in the order of asking. */
  waitFor(worker: Worker): void {
    this.waiting.add(worker);
  }

  release(): void {
    this.taken--;
    const [next] = this.waiting;
    if (!next) return;
    this.waiting.delete(next);
    next.wake();
  }
}

/** Performs the jobs of one queue: takes as many as there are slots for, whenever there may be some. */
export class Worker {
  private readonly instance = randomUUID();
  private tokens = 0;
  private isTaking = false;
  /** Something may have come while this was busy. */
  private isWanted = false;
  private hasStopped = false;
  private taking: Promise<unknown> = Promise.resolve();
  private giving: Promise<unknown> = Promise.resolve();
  private dueAt = Infinity;
  private alarm: NodeJS.Timeout | undefined;

  /**
   * @param address of the callback, which may have had another id when the queue was made
   * @param onRoom is told when a slot is free again
   */
  constructor(
    readonly queue: Queue,
    private readonly address: DeliveryAddress,
    private readonly slots: Slots,
    private readonly claims: Claims,
    private readonly perform: (attempt: EngineAttempt) => Promise<void>,
    private readonly health: EngineHealth,
    private readonly onRoom: () => void,
  ) {}

  get hasRoom(): boolean {
    return !this.hasStopped && this.slots.isOneFree;
  }

  /** Something may be due. */
  wake(): void {
    this.isWanted = true;
    if (this.isTaking || this.hasStopped) return;
    if (this.hasRoom) this.taking = this.fill();
    else this.slots.waitFor(this);
  }

  /** Something will be due then. */
  remind(at: number): void {
    if (this.hasStopped || at >= this.dueAt) return;
    clearTimeout(this.alarm);
    this.dueAt = at;
    const waitMs = Math.min(Math.max(0, at - Date.now()), LONGEST_TIMER_MS);
    this.alarm = setTimeout(() => {
      this.dueAt = Infinity;
      this.wake();
    }, waitMs).unref();
  }

  /** Takes nothing any more; resolves when what was just taken is given back. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    clearTimeout(this.alarm);
    await this.taking;
    // What came with the completion of the last.
    await new Promise((resolve) => setImmediate(resolve));
    await this.giving;
  }

  private async fill(): Promise<void> {
    this.isTaking = true;
    try {
      while (this.isWanted && this.hasRoom) {
        this.isWanted = false;
        // Where there was one, there may be more.
        if (await this.takeOne()) this.isWanted = true;
      }
      this.health.works();
    } catch (error) {
      this.health.failed(error);
    } finally {
      this.isTaking = false;
      if (this.isWanted && !this.slots.isOneFree) this.slots.waitFor(this);
      // The place kept for what was not there.
      this.onRoom();
    }
  }

  private async takeOne(): Promise<boolean> {
    this.slots.take();
    const token = `${this.instance}:${this.tokens++}`;
    const takenAt = performance.now();
    let job: TakenJob | undefined;
    try {
      job = this.read(await this.queue.moveToActive(token), token, takenAt);
    } finally {
      if (!job) this.slots.release();
    }
    if (job) void this.begin(job);
    return job !== undefined;
  }

  /** BullMQ answers with a job, or says when the next is due. */
  private read(answer: Answer, token: string, takenAt: number): TakenJob | undefined {
    const [job, id, pauseMs, dueAt] = (answer ?? []) as [JobJson | null, string, number, number];
    if (pauseMs > 0) this.remind(Date.now() + pauseMs);
    if (dueAt > 0) this.remind(dueAt);
    const { queue, address } = this;
    return job ? { queue, address, id, job, token, takenAt } : undefined;
  }

  /** In one slot one job after the other, as long as there is a next. */
  private async begin(job: TakenJob): Promise<void> {
    for (let next: TakenJob | undefined = job; next;) {
      if (this.hasStopped) this.giving = Promise.all([this.giving, this.giveBack(next)]);
      next = this.hasStopped ? undefined : await this.performOne(next);
    }
    this.slots.release();
    if (this.isWanted) this.wake();
    this.onRoom();
  }

  /** Answers with the next, which comes in the same step in which this one is completed. */
  private async performOne(job: TakenJob): Promise<TakenJob | undefined> {
    let askedAt: number | undefined;
    const wantsNext = () => {
      if (this.hasStopped || this.slots.isWantedBeside(this)) return false;
      askedAt = performance.now();
      return true;
    };
    const attempt = this.claims.attemptAt(job, { wantsNext, onRetry: (dueAt) => this.remind(dueAt) });
    await this.perform(attempt);
    const answer = await attempt.through();
    if (askedAt !== undefined) return this.read(answer, job.token, askedAt);
    this.isWanted = true;
    return undefined;
  }

  private async giveBack(job: TakenJob): Promise<void> {
    const nobody = { wantsNext: () => false, onRetry: () => {} };
    await this.claims
      .attemptAt(job, nobody)
      .release()
      .catch((error: unknown) => this.health.failed(error));
  }
}
