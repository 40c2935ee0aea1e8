import { ClaimLoop, timers } from '../engine/index.js';
import type { ClaimedJob } from './claims.js';

const { setImmediate } = timers;

/** Says how a worker performs the deliveries of one callback, and how many at a time. */
export interface WorkerOptions {
  readonly concurrency: number;
  /** Each delivery that ends may let another of its key begin. */
  readonly isOrdered: boolean;
  /** Claims at most so many deliveries that are due. */
  readonly claim: (most: number) => Promise<readonly ClaimedJob[]>;
  /**
   * Makes an attempt at a delivery. Calls `onThrough` when the callback is through, which may be before that is written
   * down.
   */
  readonly attempt: (job: ClaimedJob, onThrough: () => void) => Promise<void>;
  readonly giveBack: (job: ClaimedJob) => Promise<unknown>;
  readonly onFailure: (error: unknown) => void;
}

/** Performs the deliveries of one callback: claims as many as it has room for, whenever some may be due. */
export class Worker {
  private running = 0;
  private isWaking = false;
  private readonly loop: ClaimLoop;

  constructor(private readonly options: WorkerOptions) {
    this.loop = new ClaimLoop({
      hasRoom: () => this.room > 0,
      claim: () => this.claim(),
      onFailure: options.onFailure,
    });
  }

  /** Has it look for deliveries that are due. */
  wake(): void {
    this.loop.wake();
  }

  /** Has it claim no more. Resolves when it has given back what it had just claimed. */
  stop(): Promise<void> {
    return this.loop.stop();
  }

  private get room(): number {
    return this.options.concurrency - this.running;
  }

  private async claim(): Promise<boolean> {
    const { room } = this;
    const jobs = await this.options.claim(room);
    if (this.loop.hasStopped) await Promise.all(jobs.map(this.options.giveBack));
    else for (const job of jobs) void this.begin(job);
    return jobs.length === room;
  }

  private async begin(job: ClaimedJob): Promise<void> {
    let isThrough = false;
    const onThrough = () => {
      if (isThrough) return;
      isThrough = true;
      this.running--;
      if (this.loop.isWanted) this.wakeSoon();
    };
    this.running++;
    await this.options.attempt(job, onThrough);
    onThrough();
    if (this.options.isOrdered) this.wake();
  }

  /** Wakes it once for all deliveries that end at this moment, so that one claim serves them all. */
  private wakeSoon(): void {
    if (this.isWaking) return;
    this.isWaking = true;
    setImmediate(() => {
      this.isWaking = false;
      this.wake();
    });
  }
}
