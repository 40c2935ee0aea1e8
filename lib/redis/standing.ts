import type { JobData, OwnFields } from './stored-job.js';

/**
 * What has become of the attempts at a job: how many count, how many are charged, and whether it is suspected of ending its
 * instance.
 *
 * BullMQ counts each time that a job was taken, and each time that it was taken back from an instance that had died. What that
 * means for us stands in the job's data, as of when it was written last: the rest follows from BullMQ's numbers.
 */
export class Standing {
  readonly attempt: number;
  readonly charged: number;
  readonly spared: number;
  readonly isSuspect: boolean;
  readonly postponedMs: number;
  private readonly uncounted: number;

  /**
   * @param started how often it was taken
   * @param stalls how often it was taken back
   */
  constructor(
    private readonly started: number,
    private readonly stalls: number,
    private readonly data: JobData,
  ) {
    const { uncounted = 0, spared = 0, postponed = 0, stalled = 0, suspect } = data;
    this.postponedMs = postponed;
    const unseen = Math.max(0, stalls - stalled);
    this.isSuspect = suspect !== undefined || unseen > 0;
    this.uncounted = uncounted;
    // One that is written down to have begun was the only suspect there.
    this.spared = spared + unseen - (suspect === 'begun' ? Math.min(1, unseen) : 0);
    this.attempt = started - this.uncounted;
    this.charged = this.attempt - this.spared;
  }

  /** The data of a suspect that begins, as the only one. */
  get begun(): JobData {
    return this.with({ suspect: 'begun' });
  }

  /** The data of a job that was taken and has not begun. */
  get givenBack(): JobData {
    return this.with({ uncounted: this.uncounted + 1, ...(this.isSuspect && { suspect: 'waits' }) });
  }

  get released(): JobData {
    return this.with({ uncounted: this.uncounted + 1 });
  }

  /** The data of a job that its callback has postponed. */
  postponed(ms: number): JobData {
    return this.with({ uncounted: this.uncounted + 1, postponed: this.postponedMs + ms });
  }

  /** The data of a job that has failed, where it is not as before. */
  get failed(): JobData | undefined {
    return this.isSuspect ? this.with({}) : undefined;
  }

  /**
   * What is written to a dead job. Whoever retries it, a dashboard too, is to have all attempts before it again: BullMQ counts on from
   * what does not count. Only a suspect has something in its data that must go.
   */
  get dead(): Pick<OwnFields, 'data' | 'started'> {
    if (this.isSuspect) return { data: this.with({ uncounted: this.started, spared: 0, postponed: 0 }) };
    return { started: this.uncounted + this.spared };
  }

  private with(changes: Pick<JobData, 'uncounted' | 'spared' | 'postponed' | 'suspect'>): JobData {
    const { uncounted = this.uncounted, spared = this.spared, postponed = this.postponedMs, suspect } = changes;
    return {
      ...(this.data.key !== undefined && { key: this.data.key }),
      arguments: this.data.arguments,
      ...(uncounted > 0 && { uncounted }),
      ...(spared > 0 && { spared }),
      ...(postponed > 0 && { postponed }),
      ...(this.stalls > 0 && { stalled: this.stalls }),
      ...(suspect && { suspect }),
    };
  }
}
