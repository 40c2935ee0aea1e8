import { messageOf, type NewDelivery, outcomeOf, UnknownOutcomeError, within } from '../engine/index.js';
import type { Queue } from './queues.js';
import type { Connections } from './connections.js';
import { jobOf } from './stored-job.js';

/** A delivery, and where it goes. */
export interface Addressed {
  readonly name: string;
  readonly queue: Queue;
  readonly delivery: NewDelivery;
  /** The queues under the callback's former ids. */
  readonly former: readonly Queue[];
}

/** Stores deliveries, all or none. */
export class Writer {
  constructor(
    private readonly connections: Connections,
    private readonly prefix: string,
    private readonly timeoutMs: number,
  ) {}

  async store(addressed: readonly Addressed[]): Promise<void> {
    if (!this.connections.isReady) throw new Error('no connection to Redis: it is tried again each second');
    try {
      await within(this.timeoutMs, this.write(addressed));
    } catch (error) {
      throw outcomeOf(error, wasRefused);
    }
  }

  private async write(addressed: readonly Addressed[]): Promise<void> {
    const mayBeKnown = addressed.some(({ former }) => former.length > 0);
    const fresh = mayBeKnown ? await this.unknown(addressed) : addressed;
    if (fresh.length === 1) await fresh[0].queue.addJob(jobOf(fresh[0].delivery), fresh[0].delivery.id);
    else if (fresh.length > 1) await this.storeTogether(fresh);
  }

  /** Stores into several queues by one transaction of Redis. */
  private async storeTogether(addressed: readonly Addressed[]): Promise<void> {
    const flow = addressed.map(({ name, delivery }) => ({
      jobData: jobOf(delivery),
      jobId: delivery.id,
      parentKeyOpts: {},
      prefix: this.prefix,
      queueName: name,
    }));
    let results = await addressed[0].queue.addFlow(flow);
    if (results.some(([error]) => error?.message.startsWith('NOSCRIPT'))) {
      // The server has forgotten scripts, and within a transaction ioredis learns that too late. What was stored already is
      // known by its id, so it is not stored twice.
      await this.connections.loadScripts();
      results = await addressed[0].queue.addFlow(flow);
    }
    const errors = results.flatMap(([error]) => error ?? []);
    if (errors.length === 0) return;
    const [cause] = errors;
    const isNoneStored = errors.length === results.length;
    throw isNoneStored ? cause : new UnknownOutcomeError(messageOf(cause), { cause });
  }

  /** Leaves out the deliveries that are stored already, under a former id of their callback. */
  private async unknown(addressed: readonly Addressed[]): Promise<readonly Addressed[]> {
    const { commands } = this.connections;
    const known = await Promise.all(
      addressed.map(async ({ former, delivery }) => {
        const found = await Promise.all(former.map((queue) => commands.exists(queue.toKey(delivery.id))));
        return found.includes(1);
      }),
    );
    return addressed.filter((_, index) => !known[index]);
  }
}

/** Whether Redis itself has said no. Any other error may have come after the deliveries were stored. */
const wasRefused = (error: unknown) => (error as Error | undefined)?.name === 'ReplyError';
