import type { JobType } from 'bullmq';
import {
  addressName,
  addressOf,
  type DeliveryAddress,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryQuery,
  type DeliveryState,
  type KeptDelivery,
  type StoredError,
} from '../engine/index.js';
import { isScriptsVerdict, type Queue } from './queues.js';
import type { Client } from './connections.js';
import { attemptNumber, fieldsOf, parsed, readData } from './stored-job.js';

/** BullMQ's states, by ours. */
const TYPES: Record<DeliveryState, readonly JobType[]> = {
  waiting: ['wait', 'prioritized', 'delayed'],
  running: ['active'],
  dead: ['failed'],
};

/** A job of a queue, as far as its whereabouts go. */
interface Place {
  readonly queue: Queue;
  readonly address: DeliveryAddress;
  readonly id: string;
  readonly type: JobType;
  readonly state: DeliveryState;
}

const FIELDS = [
  'data',
  'timestamp',
  'ats',
  'opts',
  'due',
  'processedOn',
  'finishedOn',
  'attempts',
  'error',
  'failedReason',
] as const;
type Fields = Record<(typeof FIELDS)[number], string | null>;

/** BullMQ orders the delayed by time and, within a millisecond, by a number of twelve bits. */
const timeOf = (score: string) => Math.floor(Number(score) / 0x1000);

const WRITE_TO_DEAD = `
  if not redis.call('zscore', KEYS[1], ARGV[1]) then return 0 end
  redis.call('hset', KEYS[2], unpack(ARGV, 2))
  return 1`;

/** At once, of each queue. */
const MOST_FORGOTTEN = 1_000;

const DISCARDED: readonly string[] = [...TYPES.waiting, 'waiting', ...TYPES.dead];

/** Looks into the deliveries that are kept, and changes what is to become of them. */
export class KeptDeliveries {
  /**
   * @param names the key of the set of all queues' names
   * @param ownerOf the callback that a queue's deliveries are for now
   */
  constructor(
    private readonly client: Client,
    private readonly names: string,
    private readonly queueOf: (name: string) => Queue,
    private readonly ownerOf: (address: DeliveryAddress) => DeliveryAddress,
  ) {}

  async counts(): Promise<DeliveryCounts[]> {
    const counts = new Map<string, { -readonly [Field in keyof DeliveryCounts]: DeliveryCounts[Field] }>();
    const found = await Promise.all(
      (await this.queues({})).map(async ({ queue, address }) => ({ address, ...(await countsOf(queue)) })),
    );
    for (const { address, ...of } of found) {
      const name = addressName(address);
      const count = counts.get(name) ?? { ...address, waiting: 0, delayed: 0, running: 0, dead: 0 };
      counts.set(name, count);
      for (const state of ['waiting', 'delayed', 'running', 'dead'] as const) count[state] += of[state];
    }
    return [...counts.values()].filter(({ waiting, delayed, running, dead }) => waiting + delayed + running + dead > 0);
  }

  async list({ states, limit, after, ...filter }: DeliveryQuery): Promise<KeptDelivery[]> {
    const places = (await this.places(filter, states)).sort(compare);
    const from = after ? places.findIndex((place) => compare(place, { id: after.id, address: after }) > 0) : 0;
    const kept: KeptDelivery[] = [];
    // One that has ended since is passed over.
    for (let at = from; at !== -1 && at < places.length && kept.length < limit;) {
      const page = places.slice(at, at + limit - kept.length);
      kept.push(...(await this.read(page)));
      at += page.length;
    }
    return kept;
  }

  async retry(filter: DeliveryFilter): Promise<number> {
    const dead = await this.places(filter, ['dead']);
    return count(dead, async ({ queue, id }) => {
      const { uncounted, ...data } = readData((await this.client.hget(queue.toKey(id), 'data')) ?? '');
      const fresh = fieldsOf({ due: Date.now(), ...(uncounted !== undefined && { data }) });
      if (!(await this.writeToDead(queue, id, fresh))) return false;
      await queue.retryFinishedJob({ id, opts: {} } as never, 'failed', {
        resetAttemptsMade: true,
        resetAttemptsStarted: true,
      });
      return true;
    });
  }

  async discard(filter: DeliveryFilter): Promise<number> {
    const idle = await this.places(filter, ['waiting', 'dead']);
    return count(idle, async ({ queue, id }) => {
      // BullMQ also removes what is completed, by which an id is known, and what is not there.
      if (!DISCARDED.includes(await queue.getState(id))) return false;
      return (await queue.remove(id, false)) === 1;
    });
  }

  /** Of all queues, also of those that nobody works at any more. BullMQ does so only when another one is completed. */
  async forgetCompleted(before: number): Promise<void> {
    const queues = await this.queues({});
    await Promise.all(queues.map(({ queue }) => queue.cleanJobsByState('completed', before, MOST_FORGOTTEN)));
  }

  /** Only while it is dead: written to what somebody discards, it would bring that back by half. */
  private async writeToDead(queue: Queue, id: string, fields: Record<string, string | number>): Promise<boolean> {
    const values = Object.entries(fields).flat();
    return (await this.client.eval(WRITE_TO_DEAD, 2, queue.keys.failed, queue.toKey(id), id, ...values)) === 1;
  }

  /** The queues of all addresses that fit, with what these are called now. */
  private async queues({ event, callback }: DeliveryFilter): Promise<{ queue: Queue; address: DeliveryAddress }[]> {
    const names = await this.client.smembers(this.names);
    return names.flatMap((name) => {
      const address = this.ownerOf(addressOf(name)!);
      const fits =
        (event === undefined || address.event === event) && (callback === undefined || address.callback === callback);
      return fits ? [{ queue: this.queueOf(name), address }] : [];
    });
  }

  /** Of each queue as of one moment; a delivery never leaves its queue. */
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
        ids.filter((id) => !wanted || wanted.has(id)).map((id) => ({ queue, address, id, ...types[index] })),
      );
    });
    return (await Promise.all(places)).flat();
  }

  private async read(places: readonly Place[]): Promise<KeptDelivery[]> {
    const pipeline = this.client.pipeline();
    for (const { queue, id } of places) pipeline.hmget(queue.toKey(id), ...FIELDS).zscore(queue.keys.delayed, id);
    const replies = (await pipeline.exec()) ?? [];
    const failed = replies.find(([error]) => error);
    if (failed) throw failed[0]!;
    return places.flatMap((place, index) => {
      const values = replies[2 * index][1] as (string | null)[];
      const fields = Object.fromEntries(FIELDS.map((name, at) => [name, values[at]])) as Fields;
      return fields.data === null ? [] : [keptOf(place, fields, replies[2 * index + 1][1] as string | null)];
    });
  }
}

async function countsOf(queue: Queue): Promise<Record<'waiting' | 'delayed' | 'running' | 'dead', number>> {
  const [wait, prioritized, delayed, running, dead] = await queue.getCounts([
    ...TYPES.waiting,
    ...TYPES.running,
    ...TYPES.dead,
  ]);
  // Whose time has come, though nobody has moved them yet.
  const [dueNow] = delayed > 0 ? await queue.getCounts(['delayed'], Date.now() + 1) : [0];
  // More may have come between the two looks.
  const due = Math.min(dueNow, delayed);
  return { waiting: wait + prioritized + due, delayed: delayed - due, running, dead };
}

function keptOf({ address, id, state }: Place, fields: Fields, delayed: string | null): KeptDelivery {
  const data = readData(fields.data!);
  const storedAt = Number(fields.timestamp);
  const { delay = 0 } = (parsed(fields.opts ?? '') ?? {}) as { delay?: number };
  const waitingSince = delayed ? timeOf(delayed) : Number(fields.due ?? storedAt + delay);
  const since = { waiting: waitingSince, running: Number(fields.processedOn), dead: Number(fields.finishedOn) }[state];
  const error = errorOf(fields);
  return {
    ...address,
    id,
    ...(data.key !== undefined && { key: data.key }),
    arguments: data.arguments,
    state,
    attempts:
      state === 'dead' && fields.attempts ? Number(fields.attempts) : attemptNumber(Number(fields.ats ?? 0), data),
    storedAt: new Date(storedAt),
    since: new Date(since),
    ...(error && { error }),
  };
}

/** What BullMQ itself, or somebody else, has failed it with says less. */
const errorOf = ({ error, failedReason }: Fields): StoredError | undefined =>
  ((error && parsed(error)) as StoredError | undefined) ||
  (failedReason ? { name: 'Error', message: failedReason } : undefined);

/** How many it worked for: what has been moved in the meantime does not count. */
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

type Placed = Pick<Place, 'id' | 'address'>;

const compare = (one: Placed, other: Placed) =>
  order(one.id, other.id) ||
  order(one.address.event, other.address.event) ||
  order(one.address.callback, other.address.callback);

const order = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0);
