import { ClaimLoop, type Quarantine, timers } from '../engine/index.js';
import type { ClaimedJob } from './claimed-job.js';
import type { Found } from './claiming.js';
import type { AttemptEvents } from './claims.js';
import { Suspects } from './suspects.js';

const { setImmediate } = timers;

/** Says how a worker performs the deliveries of one callback, and how many at a time. */
export interface WorkerOptions {
  readonly concurrency: number;
  /** Each delivery that ends may let another of its key begin. */
  readonly isOrdered: boolean;
  /** Claims at most so many deliveries that are due: first of the keys of which something may be next. */
  readonly claim: (most: number, keys: readonly string[]) => Promise<Found>;
  /**
   * Claims one that is suspected of ending its process.
   *
   * @param isAlone whether it is to be the only suspect that runs here
   */
  readonly claimSuspect: (isAlone: boolean) => Promise<ClaimedJob | undefined>;
  /** Keeps the suspects of all callbacks of this instance apart. */
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
  /** How many places a claim has asked for that is under way. */
  private claiming = 0;
  private isWaking = false;
  private readonly keys = new Set<string>();
  private readonly loop: ClaimLoop;
  private readonly suspects: Suspects;

  constructor(private readonly options: WorkerOptions) {
    const { quarantine, onFailure } = options;
    this.loop = new ClaimLoop({ hasRoom: () => this.hasRoom, claim: () => this.claim(), onFailure });
    this.suspects = new Suspects({
      quarantine,
      hasRoom: () => this.hasRoom && this.room > this.claiming,
      begin: (isAlone, onSettled) => this.beginSuspect(isAlone, onSettled),
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

  /** Has it look for a suspect. */
  wakeForSuspects(): void {
    this.suspects.look();
  }

  /** Has it claim no more. Resolves when it has given back what it had just claimed. */
  async stop(): Promise<void> {
    await this.loop.stop();
    await this.suspects.stop();
  }

  private get room(): number {
    return this.options.concurrency - this.running;
  }

  private async claim(): Promise<boolean> {
    const { claim, giveBack } = this.options;
    const keys = [...this.keys];
    this.keys.clear();
    this.claiming = this.room;
    const { jobs, isAll } = await claim(this.claiming, keys).finally(() => (this.claiming = 0));
    if (this.loop.hasStopped) await Promise.all(jobs.map(giveBack));
    else for (const job of jobs) void this.perform(job, this.takePlace());
    this.suspects.onRoom();
    return !isAll;
  }

  private async beginSuspect(isAlone: boolean, onSettled: () => void): Promise<boolean> {
    const { claimSuspect, giveBack, onFailure } = this.options;
    const leavePlace = this.takePlace();
    const suspect = await claimSuspect(isAlone).catch(onFailure);
    if (suspect && !this.loop.hasStopped) {
      void this.perform(suspect, leavePlace, once(onSettled));
      return true;
    }
    leavePlace();
    if (suspect) await giveBack(suspect).catch(onFailure);
    return false;
  }

  /** Takes the place of one delivery. Returns what leaves it again; calling that once more changes nothing. */
  private takePlace(): () => void {
    this.running++;
    return once(() => {
      this.running--;
      this.suspects.onRoom();
      if (this.loop.isWanted) this.wakeSoon();
    });
  }

  private async perform(job: ClaimedJob, onThrough: () => void, onSettled = () => {}): Promise<void> {
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
