import {
  cursorOf,
  type DeliveryFilter,
  readCursor,
  type RetriedPortion,
  type RetryPortion,
  timers,
} from '../engine/index.js';
import type { Client } from './connections.js';
import type { KeptQueue } from './kept-queue.js';
import type { Place } from './place.js';
import { findPlaces, portionsOf } from './places.js';
import { asScriptJob, isScriptsVerdict, type Queue } from './queues.js';
import { type QueuePlace, Scanning } from './scan.js';
import { fieldsOf, readData } from './stored-job.js';

/**
 * Writes fields to a job only while it is dead. Written to one that was just discarded, they would bring half of it back.
 */
const WRITE_TO_DEAD = `
  if not redis.call('zscore', KEYS[1], ARGV[1]) then return 0 end
  redis.call('hset', KEYS[2], unpack(ARGV, 2))
  return 1`;

/** How many jobs are retried at once. */
const AT_ONCE = 50;

/** Where a series of portions has come to. */
interface Progress extends QueuePlace {
  /** When it began, in milliseconds since 1970. What died later is not of it. */
  readonly began: number;
}

/** Makes dead jobs wait again. */
export class Retries {
  constructor(private readonly client: Client) {}

  /** Retries at most so many of those that a filter means, from where the portion before has ended. */
  async portion(
    queues: readonly KeptQueue[],
    filter: DeliveryFilter,
    { limit, after }: RetryPortion,
  ): Promise<RetriedPortion> {
    const { began, ...place } = after === undefined ? await begin() : readProgress(after);
    const from = after === undefined ? {} : { after: place };
    const scan = { state: 'dead', filter, limit, endedBefore: began + 1, ...from } as const;
    const { found, last } = await Scanning.of(this.client, queues, scan);
    let count = 0;
    for (const { queue, places } of found) count += await this.retryAll(queue.queue, places);
    return { count, ...(last && { after: cursorOf('dead', JSON.stringify({ began, ...last })) }) };
  }

  async byIds(queues: readonly KeptQueue[], ids: readonly string[]): Promise<number> {
    let count = 0;
    for (const { queue } of queues) {
      const places = await findPlaces(this.client, queue, ids);
      const dead = places.filter(({ stage }) => stage === 'failed');
      count += await this.retryAll(queue, dead);
    }
    return count;
  }

  /** Resolves to how many were retried. What somebody else has moved in the meantime does not count. */
  private async retryAll(queue: Queue, places: readonly Place[]): Promise<number> {
    let count = 0;
    for (const some of portionsOf(places, AT_ONCE)) {
      const retried = await Promise.all(
        some.map(({ id }) =>
          this.retryDead(queue, id).catch((error: unknown) => {
            if (isScriptsVerdict(error)) return false;
            throw error;
          }),
        ),
      );
      count += retried.filter(Boolean).length;
    }
    return count;
  }

  private async retryDead(queue: Queue, id: string): Promise<boolean> {
    const { uncounted, spared, postponed, suspect, ...data } = readData(
      (await this.client.hget(queue.toKey(id), 'data')) ?? '',
    );
    const isChanged = [uncounted, spared, postponed, suspect].some((one) => one !== undefined);
    const fresh = fieldsOf({ due: Date.now(), ...(isChanged && { data }) });
    if (!(await this.writeToDead(queue, id, fresh))) return false;
    await queue.retryFinishedJob(asScriptJob({ id, opts: {} }), 'failed', {
      resetAttemptsMade: true,
      resetAttemptsStarted: true,
    });
    return true;
  }

  /** Resolves to whether the job was dead, and has these fields now. */
  private async writeToDead(queue: Queue, id: string, fields: Record<string, string | number>): Promise<boolean> {
    const values = Object.entries(fields).flat();
    return (await this.client.eval(WRITE_TO_DEAD, 2, queue.keys.failed, queue.toKey(id), id, ...values)) === 1;
  }
}

/** Begins a series. What it retries dies later than that, if it dies again: not in the same millisecond. */
async function begin(): Promise<Progress> {
  const began = Date.now();
  while (Date.now() <= began) await timers.sleep(1);
  return { began, name: '' };
}

function readProgress(after: string): Progress {
  const [progress] = readCursor(after, 'dead', [/^\{"began":\d+,"name":".*\}$/]);
  return JSON.parse(progress) as Progress;
}
