import { ClaimLoop, type Quarantine, timers } from '../engine/index.js';
import type { ClaimedJob } from './claimed-job.js';
import type { Found } from './claiming.js';
import type { AttemptEvents } from './claims.js';

const { setImmediate } = timers;

/** Says how a worker performs the deliveries of one callback, and how many at a time. */
export interface WorkerOptions {
  readonly concurrency: number;
  /** Each delivery that ends may let another of its key begin. */
  readonly isOrdered: boolean;
  /** Claims at most so many deliveries that are due: first of the keys of which something may be next. */
  readonly claim: (most: number, keys: readonly string[]) => Promise<Found>;
  /** Claims one that is suspected of ending its process. */
  readonly claimSuspect: () => Promise<ClaimedJob | undefined>;
  /** Lets one suspect run at a time, of all callbacks of this instance. */
  readonly quarantine: Quarantine;
  /** Makes an attempt at a delivery. Resolves to the delivery's key. */
  readonly attempt: (job: ClaimedJob, events: AttemptEvents) => Promise<string | undefined>;
  readonly giveBack: (job: ClaimedJob) => Promise<unknown>;
  readonly onFailure: (error: unknown) => void;
}

/** So many keys are asked for by a claim at most. The others are found as well. */
const MOST_KEYS = 100;

/** Performs the deliveries of one callback: claims as many as it has room for, whenever some may be due. */
export class Worker {
  private running = 0;
  private isWaking = false;
  private suspectsWait = false;
  private readonly keys = new Set<string>();
  private readonly suspects = { wake: () => this.wakeForSuspects() };
  private readonly loop: ClaimLoop;

  constructor(private readonly options: WorkerOptions) {
    this.loop = new ClaimLoop({
      hasRoom: () => this.hasRoom,
      claim: () => this.claim(),
      onFailure: options.onFailure,
    });
  }

  get hasRoom(): boolean {
    return !this.loop.hasStopped && this.room > 0;
  }

  /**
   * Has it look for deliveries that are due.
   *
   * @param key of which something may be next
   */
  wake(key?: string): void {
    if (key !== undefined && this.options.isOrdered && this.keys.size < MOST_KEYS) this.keys.add(key);
    this.loop.wake();
  }

  /** Has it look for a suspect, too. */
  wakeForSuspects(): void {
    this.suspectsWait = true;
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
    if (this.suspectsWait) await this.claimSuspect();
    const { room } = this;
    if (room === 0) return true;
    const keys = [...this.keys];
    this.keys.clear();
    const { jobs, isAll } = await this.options.claim(room, keys);
    await this.beginAll(jobs);
    return !isAll;
  }

  private async claimSuspect(): Promise<void> {
    const { quarantine, claimSuspect } = this.options;
    this.suspectsWait = false;
    if (!quarantine.tryEnter()) return quarantine.waitFor(this.suspects);
    const suspect = await claimSuspect().catch((error: unknown) => {
      quarantine.leave();
      throw error;
    });
    if (!suspect) return quarantine.leave();
    const onSettled = once(() => {
      quarantine.leave();
      // There may be another.
      this.wakeForSuspects();
    });
    await this.beginAll([suspect], onSettled);
  }

  private async beginAll(jobs: readonly ClaimedJob[], onSettled = () => {}): Promise<void> {
    if (this.loop.hasStopped) await Promise.all(jobs.map(this.options.giveBack)).finally(onSettled);
    else for (const job of jobs) void this.begin(job, onSettled);
  }

  private async begin(job: ClaimedJob, onSettled: () => void): Promise<void> {
    const onThrough = once(() => {
      this.running--;
      if (this.loop.isWanted) this.wakeSoon();
    });
    this.running++;
    const key = await this.options.attempt(job, { onThrough, onSettled });
    onThrough();
    onSettled();
    if (this.options.isOrdered) this.wake(key);
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

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}
