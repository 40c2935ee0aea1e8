import { timers } from '../engine/index.js';
import type { ClaimedJob } from './claims.js';

const { setImmediate } = timers;

/** Performs the deliveries of one callback: claims as many as there is room for, whenever there may be some. */
export class Worker {
  private running = 0;
  private isClaiming = false;
  /** Something may have come while this was busy. */
  private isWanted = false;
  private isWaking = false;
  private hasStopped = false;
  private claiming: Promise<void> = Promise.resolve();

  /**
   * @param isOrdered each delivery that ends may let another of its key begin
   * @param claim takes up to so many deliveries that are due
   */
  constructor(
    private readonly concurrency: number,
    private readonly isOrdered: boolean,
    private readonly claim: (most: number) => Promise<readonly ClaimedJob[]>,
    /** Says when the callback is through, which may be before that is written down. */
    private readonly perform: (job: ClaimedJob, onThrough: () => void) => Promise<void>,
    private readonly giveBack: (job: ClaimedJob) => Promise<unknown>,
    private readonly onFailure: (error: unknown) => void,
  ) {}

  /** Something may be due. */
  wake(): void {
    this.isWanted = true;
    if (!this.isClaiming && !this.hasStopped && this.running < this.concurrency) this.claiming = this.fill();
  }

  /** Claims nothing any more; resolves when what was just claimed is given back. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    await this.claiming;
  }

  private async fill(): Promise<void> {
    this.isClaiming = true;
    try {
      while (this.isWanted && !this.hasStopped && this.running < this.concurrency) {
        this.isWanted = false;
        const room = this.concurrency - this.running;
        const jobs = await this.claim(room);
        // Where there were as many as asked for, there may be more.
        if (jobs.length === room) this.isWanted = true;
        if (this.hasStopped) await Promise.all(jobs.map(this.giveBack));
        else for (const job of jobs) void this.begin(job);
      }
    } catch (error) {
      this.onFailure(error);
    } finally {
      this.isClaiming = false;
    }
  }

  private async begin(job: ClaimedJob): Promise<void> {
    let isThrough = false;
    const onThrough = () => {
      if (isThrough) return;
      isThrough = true;
      this.running--;
      if (this.isWanted) this.wakeSoon();
    };
    this.running++;
    await this.perform(job, onThrough);
    onThrough();
    if (this.isOrdered) this.wake();
  }

  /** Where many end at once, one claim is to serve all. */
  private wakeSoon(): void {
    if (this.isWaking) return;
    this.isWaking = true;
    setImmediate(() => {
      this.isWaking = false;
      this.wake();
    });
  }
}
