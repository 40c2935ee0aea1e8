import type { JobJson } from 'bullmq';
import { messageOf, type NewDelivery, outcomeOf, UnknownOutcomeError, within } from '../engine/index.js';
import type { Queue } from './queues.js';
import type { Connections } from './connections.js';
import { Lane } from './lane.js';
import { jobsOf, textOf } from './stored-job.js';

/** A delivery, and where it goes. */
export interface Addressed {
  readonly name: string;
  readonly queue: Queue;
  readonly delivery: NewDelivery;
  /** The queues under the callback's former ids. */
  readonly former: readonly Queue[];
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
    private readonly prefix: string,
    private readonly timeoutMs: number,
  ) {}

  /** Stores the deliveries of one run. What is wrong with them is found before any are sent. */
  async store(addressed: readonly Addressed[]): Promise<void> {
    const jobs = jobsOf(addressed.map(({ delivery }) => delivery));
    const written = addressed.map((one, index): Written => ({ ...one, job: jobs[index] }));
    const length = textOf(jobs);
    const lane = length > LONGEST_SMALL ? this.large : this.small;
    await lane.send(length, () => this.send(written));
  }

  private async send(written: readonly Written[]): Promise<void> {
    if (!this.connections.isReady) throw new Error('no connection to Redis: it is tried again each second');
    try {
      await within(this.timeoutMs, this.write(written));
    } catch (error) {
      throw outcomeOf(error, wasRefused);
    }
  }

  private async write(written: readonly Written[]): Promise<void> {
    const mayBeKnown = written.some(({ former }) => former.length > 0);
    const fresh = mayBeKnown ? await this.unknown(written) : written;
    if (fresh.length === 1) await fresh[0].queue.addJob(fresh[0].job, fresh[0].delivery.id);
    else if (fresh.length > 1) await this.storeTogether(fresh);
  }

  /** Stores into several queues by one transaction of Redis. */
  private async storeTogether(written: readonly Written[]): Promise<void> {
    const flow = written.map(({ name, job, delivery }) => ({
      jobData: job,
      jobId: delivery.id,
      parentKeyOpts: {},
      prefix: this.prefix,
      queueName: name,
    }));
    let results = await written[0].queue.addFlow(flow);
    if (results.some(([error]) => error?.message.startsWith('NOSCRIPT'))) {
      // The server has forgotten scripts, and within a transaction ioredis learns that too late. What was stored already is
      // known by its id, so it is not stored twice.
      await this.connections.loadScripts();
      results = await written[0].queue.addFlow(flow);
    }
    const errors = results.flatMap(([error]) => error ?? []);
    if (errors.length === 0) return;
    const [cause] = errors;
    const isNoneStored = errors.length === results.length;
    throw isNoneStored ? cause : new UnknownOutcomeError(messageOf(cause), { cause });
  }

  /** Leaves out the deliveries that are stored already, under a former id of their callback. */
  private async unknown(written: readonly Written[]): Promise<readonly Written[]> {
    const { commands } = this.connections;
    const known = await Promise.all(
      written.map(async ({ former, delivery }) => {
        const found = await Promise.all(former.map((queue) => commands.exists(queue.toKey(delivery.id))));
        return found.includes(1);
      }),
    );
    return written.filter((_, index) => !known[index]);
  }
}

/** Whether Redis itself has said no. Any other error may have come after the deliveries were stored. */
const wasRefused = (error: unknown) => (error as Error | undefined)?.name === 'ReplyError';
