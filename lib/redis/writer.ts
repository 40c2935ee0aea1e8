import { messageOf, type NewDelivery, UnknownOutcomeError, within } from '../engine/index.js';
import type { Queue } from './queues.js';
import type { Connections } from './connections.js';
import { jobOf } from './stored-job.js';

/** A delivery, and where it goes. */
export interface Addressed {
  readonly name: string;
  readonly queue: Queue;
  readonly delivery: NewDelivery;
  /** Where its callback's deliveries went before. */
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
      throw outcomeOf(error);
    }
  }

  private async write(addressed: readonly Addressed[]): Promise<void> {
    const mayBeKnown = addressed.some(({ former }) => former.length > 0);
    const fresh = mayBeKnown ? await this.unknown(addressed) : addressed;
    if (fresh.length === 1) await fresh[0].queue.addJob(jobOf(fresh[0].delivery), fresh[0].delivery.id);
    else if (fresh.length > 1) await this.storeTogether(fresh);
  }

  /** Several queues in one transaction of Redis. */
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
      // In a transaction ioredis learns too late that the server has forgotten scripts. What was stored is known by its id.
      await this.connections.loadScripts();
      results = await addressed[0].queue.addFlow(flow);
    }
    const failed = results.find(([error]) => error);
    if (!failed) return;
    const isNone = results.every(([error]) => error);
    throw isNone ? failed[0]! : new UnknownOutcomeError(messageOf(failed[0]), { cause: failed[0] });
  }

  /** Without those that are known by a former name of their callback. */
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

/** Redis itself has said no; anything else may have come after it was done. */
const wasRefused = (error: unknown) => (error as Error | undefined)?.name === 'ReplyError';

const outcomeOf = (error: unknown) =>
  wasRefused(error) || error instanceof UnknownOutcomeError
    ? error
    : new UnknownOutcomeError(messageOf(error), { cause: error });
