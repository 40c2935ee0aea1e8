import type { JobJson } from 'bullmq';
import { type NewDelivery, outcomeOf, UnknownOutcomeError, within } from '../engine/index.js';
import type { Queue } from './queues.js';
import type { Connections } from './connections.js';
import { Lane } from './lane.js';
import { addSeveral } from './several-jobs.js';
import { jobsOf, textOf } from './stored-job.js';
import { noConnection, tellable } from './tellable.js';

/** The queues of a declared callback: its own, and those under its former ids. */
export interface Declared {
  readonly name: string;
  readonly queue: Queue;
  readonly former: readonly Queue[];
}

/** A delivery, and where it goes. */
export interface Addressed {
  readonly declared: Declared;
  readonly delivery: NewDelivery;
}

/** The same with the job that is made of it. */
interface Written extends Addressed {
  readonly job: JobJson;
}

/** The length of the largest run, in characters, that does not wait for other large ones. */
const LONGEST_SMALL = 1 << 16;

/** Stores deliveries, all or none. */
export class Writer {
  private readonly small = new Lane();
  private readonly large = new Lane();

  constructor(
    private readonly connections: Connections,
    private readonly timeoutMs: number,
  ) {}

  /** Stores the deliveries of one run. What is wrong with them is found before any are sent. */
  async store(addressed: readonly Addressed[]): Promise<void> {
    const jobs = jobsOf(addressed.map(({ delivery }) => delivery));
    // A spread costs as much as half of the rest.
    const written = addressed.map(({ declared, delivery }, index): Written => ({
      declared,
      delivery,
      job: jobs[index],
    }));
    const length = textOf(jobs);
    const lane = length > LONGEST_SMALL ? this.large : this.small;
    await lane.send(length, () => this.send(written));
  }

  private async send(written: readonly Written[]): Promise<void> {
    if (!this.connections.isReady) throw noConnection();
    try {
      await within(this.timeoutMs, this.write(written));
    } catch (error) {
      throw outcomeOf(tellable(error), wasRefused);
    }
  }

  private async write(written: readonly Written[]): Promise<void> {
    const mayBeKnown = written.some(({ declared }) => declared.former.length > 0);
    const fresh = mayBeKnown ? await this.unknown(written) : written;
    if (fresh.length === 1) await fresh[0].declared.queue.addJob(fresh[0].job, fresh[0].delivery.id);
    else if (fresh.length > 1) await this.storeTogether(fresh);
  }

  /** Stores into several queues. */
  private async storeTogether(written: readonly Written[]): Promise<void> {
    const jobs = written.map(({ declared, delivery, job }) => ({ queue: declared.queue, job, id: delivery.id }));
    const reasons = await addSeveral(this.connections.commands, jobs);
    const [reason] = reasons.filter(Boolean);
    if (reason === undefined) return;
    const isNoneStored = reasons.every(Boolean);
    throw isNoneStored ? new RefusedError(reason) : new UnknownOutcomeError(reason);
  }

  /** Leaves out the deliveries that are stored already, under a former id of their callback. */
  private async unknown(written: readonly Written[]): Promise<readonly Written[]> {
    const { commands } = this.connections;
    const known = await Promise.all(
      written.map(async ({ declared, delivery }) => {
        const found = await Promise.all(declared.former.map((queue) => commands.exists(queue.toKey(delivery.id))));
        return found.includes(1);
      }),
    );
    return written.filter((_, index) => !known[index]);
  }
}

/** Redis has refused each delivery of a run. */
class RefusedError extends Error {}

/** Whether Redis itself has said no. Any other error may have come after the deliveries were stored. */
const wasRefused = (error: unknown) =>
  error instanceof RefusedError || (error as Error | undefined)?.name === 'ReplyError';
