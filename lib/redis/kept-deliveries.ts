import type { JobType } from 'bullmq';
import {
  addressOf,
  countsByAddress,
  cursorOf,
  type DeliveryAddress,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryQuery,
  type DeliveryState,
  fits,
  type KeptDelivery,
  readCursor,
  type RetriedPortion,
  type RetryPortion,
  type StoredError,
} from '../engine/index.js';
import { asScriptJob, isScriptsVerdict, type Queue } from './queues.js';
import type { Client } from './connections.js';
import { Standing } from './standing.js';
import { fieldsOf, type JobData, parsed, readData } from './stored-job.js';

/** Which of BullMQ's states make up each of ours. */
const TYPES: Record<DeliveryState, readonly JobType[]> = {
  waiting: ['wait', 'prioritized', 'delayed'],
  running: ['active'],
  dead: ['failed'],
};

/** Where a delivery lies. */
interface Place extends DeliveryAddress {
  readonly queue: Queue;
  readonly id: string;
  readonly type: JobType;
  readonly state: DeliveryState;
}

/** The fields of a job that are read. */
const FIELDS = [
  'data',
  'timestamp',
  'ats',
  'stc',
  'opts',
  'due',
  'processedOn',
  'finishedOn',
  'attempts',
  'error',
  'failedReason',
] as const;
type Fields = Record<(typeof FIELDS)[number], string | null>;

/** Reads the time out of a score: BullMQ orders delayed jobs by time and, within a millisecond, by a number of 12 bits. */
const timeOf = (score: string) => Math.floor(Number(score) / 0x1000);

/**
 * Writes fields to a job only while it is dead. Written to one that was just discarded, they would bring half of it back.
 */
const WRITE_TO_DEAD = `
  if not redis.call('zscore', KEYS[1], ARGV[1]) then return 0 end
  redis.call('hset', KEYS[2], unpack(ARGV, 2))
  return 1`;

/** The states in which a job may be discarded. BullMQ calls `wait` by another name when it is asked for a job's state. */
const DISCARDED: readonly string[] = [...TYPES.waiting, 'waiting', ...TYPES.dead];

/** Looks into the deliveries that are kept, and retries or discards them. */
export class KeptDeliveries {
  /**
   * @param names the key of the set of all queues' names
   * @param ownerOf finds the address of the callback that now performs a queue's deliveries
   */
  constructor(
    private readonly client: Client,
    private readonly names: string,
    private readonly queueOf: (name: string) => Queue,
    private readonly ownerOf: (address: DeliveryAddress) => DeliveryAddress,
  ) {}

  async counts(): Promise<DeliveryCounts[]> {
    const queues = await this.queues({});
    const found = queues.map(async ({ queue, address }) => ({ ...address, ...(await countsOf(queue)) }));
    return countsByAddress(await Promise.all(found));
  }

  async list({ state, limit, after, ...filter }: DeliveryQuery): Promise<KeptDelivery[]> {
    const places = await this.placesAfter(after, filter, state);
    const kept: KeptDelivery[] = [];
    // A delivery that has ended since is passed over, so that a page may take several reads.
    for (let at = 0; at < places.length && kept.length < limit;) {
      const page = places.slice(at, at + limit - kept.length);
      kept.push(...(await this.read(page)));
      at += page.length;
    }
    return kept;
  }

  async retry(filter: DeliveryFilter, { limit, after }: RetryPortion): Promise<RetriedPortion> {
    const dead = await this.placesAfter(after, filter, 'dead');
    const portion = dead.slice(0, limit);
    const retried = await count(portion, ({ queue, id }) => this.retryDead(queue, id));
    const last = portion.at(-1);
    return { count: retried, ...(last && dead.length > limit && { after: cursorOf('dead', nameOf(last)) }) };
  }

  async discard(filter: DeliveryFilter): Promise<number> {
    const idle = await this.places(filter, ['waiting', 'dead']);
    return count(idle, async ({ queue, id }) => {
      // BullMQ would also remove a completed job, which is what an id is known by, and would count one that is not there.
      if (!DISCARDED.includes(await queue.getState(id))) return false;
      return (await queue.remove(id, false)) === 1;
    });
  }

  private async retryDead(queue: Queue, id: string): Promise<boolean> {
    const { uncounted, spared, suspect, ...data } = readData((await this.client.hget(queue.toKey(id), 'data')) ?? '');
    const isChanged = [uncounted, spared, suspect].some((one) => one !== undefined);
    const fresh = fieldsOf({ due: Date.now(), ...(isChanged && { data }) });
    if (!(await this.writeToDead(queue, id, fresh))) return false;
    await queue.retryFinishedJob(asScriptJob({ id, opts: {} }), 'failed', {
      resetAttemptsMade: true,
      resetAttemptsStarted: true,
    });
    return true;
  }

  private async placesAfter(
    cursor: string | undefined,
    filter: DeliveryFilter,
    state: DeliveryState,
  ): Promise<Place[]> {
    const from = cursor === undefined ? '' : readCursor(cursor, state, [/./])[0];
    const places = (await this.places(filter, [state])).map((place) => ({ place, name: nameOf(place) }));
    return places
      .filter(({ name }) => name > from)
      .sort((one, other) => (one.name < other.name ? -1 : 1))
      .map(({ place }) => place);
  }

  /** Resolves to whether the job was dead, and has these fields now. */
  private async writeToDead(queue: Queue, id: string, fields: Record<string, string | number>): Promise<boolean> {
    const values = Object.entries(fields).flat();
    return (await this.client.eval(WRITE_TO_DEAD, 2, queue.keys.failed, queue.toKey(id), id, ...values)) === 1;
  }

  /** Finds the queues of all addresses that a filter means, with the address that each belongs to now. */
  private async queues(filter: DeliveryFilter): Promise<{ queue: Queue; address: DeliveryAddress }[]> {
    const names = await this.client.smembers(this.names);
    return names.flatMap((name) => {
      const known = addressOf(name);
      const address = known && this.ownerOf(known);
      return address && fits(address, filter) ? [{ queue: this.queueOf(name), address }] : [];
    });
  }

  /** Finds where deliveries lie. It looks at each queue at one moment, and a delivery never leaves its queue. */
  private async places(filter: DeliveryFilter, states: readonly DeliveryState[]): Promise<Place[]> {
    const wanted = filter.ids && new Set(filter.ids);
    const types = states.flatMap((state) => TYPES[state].map((type) => ({ type, state })));
    const places = (await this.queues(filter)).map(async ({ queue, address }) => {
      const ranges = (await queue.getRanges(
        types.map(({ type }) => type),
        0,
        -1,
      )) as string[][];
      return ranges.flatMap((ids, index) =>
        ids.filter((id) => !wanted || wanted.has(id)).map((id) => ({ ...address, queue, id, ...types[index] })),
      );
    });
    return (await Promise.all(places)).flat();
  }

  private async read(places: readonly Place[]): Promise<KeptDelivery[]> {
    const pipeline = this.client.pipeline();
    for (const { queue, id } of places) pipeline.hmget(queue.toKey(id), ...FIELDS).zscore(queue.keys.delayed, id);
    const replies = (await pipeline.exec()) ?? [];
    for (const [error] of replies) if (error) throw error;
    return places.flatMap((place, index) => {
      const values = replies[2 * index][1] as (string | null)[];
      const fields = Object.fromEntries(FIELDS.map((name, at) => [name, values[at]])) as Fields;
      return fields.data === null
        ? []
        : [keptOf(place, readData(fields.data), fields, replies[2 * index + 1][1] as string | null)];
    });
  }
}

/** Names the place of a delivery in lists. */
const nameOf = ({ id, event, callback }: DeliveryAddress & { readonly id: string }) =>
  JSON.stringify([id, event, callback]);

async function countsOf(queue: Queue): Promise<Record<'waiting' | 'delayed' | 'running' | 'dead', number>> {
  const [wait, prioritized, delayed, running, dead] = await queue.getCounts([
    ...TYPES.waiting,
    ...TYPES.running,
    ...TYPES.dead,
  ]);
  // The time of some delayed jobs may have come, though nobody has moved them yet.
  const [dueNow] = delayed > 0 ? await queue.getCounts(['delayed'], Date.now() + 1) : [0];
  // Between the two looks, more jobs may have been added.
  const due = Math.min(dueNow, delayed);
  return { waiting: wait + prioritized + due, delayed: delayed - due, running, dead };
}

/** @param delayed the score of a delayed job */
function keptOf(
  { event, callback, id, state }: Place,
  data: JobData,
  fields: Fields,
  delayed: string | null,
): KeptDelivery {
  const storedAt = Number(fields.timestamp);
  const { delay = 0 } = (parsed(fields.opts ?? '') ?? {}) as { delay?: number };
  const waitingSince = delayed ? timeOf(delayed) : Number(fields.due ?? storedAt + delay);
  const since = { waiting: waitingSince, running: Number(fields.processedOn), dead: Number(fields.finishedOn) }[state];
  const error = errorOf(fields);
  return {
    event,
    callback,
    id,
    ...(data.key !== undefined && { key: data.key }),
    arguments: data.arguments,
    state,
    attempts:
      state === 'dead' && fields.attempts
        ? Number(fields.attempts)
        : new Standing(Number(fields.ats ?? 0), Number(fields.stc ?? 0), data).attempt,
    storedAt: new Date(storedAt),
    since: new Date(since),
    ...(error && { error }),
    cursor: cursorOf(state, nameOf({ event, callback, id })),
  };
}

/** Reads what the last attempt failed with. Where BullMQ or somebody else has failed the job, it says less. */
const errorOf = ({ error, failedReason }: Fields): StoredError | undefined =>
  ((error && parsed(error)) as StoredError | undefined) ||
  (failedReason ? { name: 'Error', message: failedReason } : undefined);

/** Counts for how many deliveries some work was done. What somebody else has moved in the meantime does not count. */
async function count(places: readonly Place[], work: (place: Place) => Promise<boolean>): Promise<number> {
  const done = await Promise.all(
    places.map((place) =>
      work(place).catch((error: unknown) => {
        if (isScriptsVerdict(error)) return false;
        throw error;
      }),
    ),
  );
  return done.filter(Boolean).length;
}
