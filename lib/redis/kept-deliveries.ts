import {
  addressOf,
  countsByAddress,
  type DeliveryAddress,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryPage,
  type DeliveryQuery,
  type DiscardedPortion,
  type DiscardPortion,
  fits,
  type FoundDeliveries,
  isSearch,
  type KnownAddress,
  type RetriedPortion,
  type RetryPortion,
} from '../engine/index.js';
import type { Client } from './connections.js';
import { DISCARDED } from './discarded.js';
import { discardWaiting } from './discards.js';
import { KeptList } from './kept-list.js';
import type { KeptQueue } from './kept-queue.js';
import { oldestDueAt } from './oldest-due.js';
import type { Pauses } from './pauses.js';
import { cursorAt, readCursorAt } from './pages.js';
import type { Place } from './place.js';
import { findPlaces, portionsOf } from './places.js';
import type { QueueNames } from './queue-names.js';
import { isScriptsVerdict, type Queue } from './queues.js';
import { Retries } from './retries.js';
import { Scanning } from './scan.js';

/** How many jobs are removed at once. */
const AT_ONCE = 50;

const HOUR_MS = 60 * 60 * 1_000;

/** Looks into the deliveries that are kept, and retries or discards them. */
export class KeptDeliveries {
  private readonly retries: Retries;

  /**
   * @param ownerOf finds the address of the callback that now performs a queue's deliveries
   */
  constructor(
    private readonly client: Client,
    private readonly names: QueueNames,
    private readonly queueOf: (name: string) => Queue,
    private readonly ownerOf: (address: DeliveryAddress) => DeliveryAddress,
    private readonly pauses: Pick<Pauses, 'paused'>,
  ) {
    this.retries = new Retries(client);
  }

  async addresses(): Promise<KnownAddress[]> {
    const remote = new Set(await this.names.allRemote());
    return (await this.queues({})).map(({ name, address }) => ({
      ...address,
      isOrdered: false,
      isRemote: remote.has(name),
    }));
  }

  async counts(): Promise<DeliveryCounts[]> {
    const queues = await this.queues({});
    const found = queues.map(async ({ queue, address }) => ({ ...address, ...(await countsOf(this.client, queue)) }));
    return countsByAddress([...(await Promise.all(found)), ...(await this.pauses.paused())]);
  }

  async list(query: DeliveryQuery): Promise<DeliveryPage> {
    return new KeptList(this.client, await this.queues(query)).page(query);
  }

  async retry(filter: DeliveryFilter, portion: RetryPortion): Promise<RetriedPortion> {
    const queues = await this.queues(filter);
    if (!filter.ids || isSearch(filter)) return this.retries.portion(queues, filter, portion);
    return { count: await this.retries.byIds(queues, filter.ids) };
  }

  async discard(filter: DeliveryFilter, { state, limit, after }: DiscardPortion): Promise<DiscardedPortion> {
    const queues = await this.queues(filter);
    if (!state) return { count: await this.discardByIds(queues, filter.ids ?? []) };
    const from = after === undefined ? {} : { after: readCursorAt(after, state) };
    const { found, last } = await Scanning.of(this.client, queues, { state, filter, limit, ...from });
    let count = 0;
    for (const { queue, places } of found) count += await this.discardAt(queue, places);
    return { count, ...(last?.place && { after: cursorAt(state, last.name, last.place) }) };
  }

  private async discardByIds(queues: readonly KeptQueue[], ids: readonly string[]): Promise<number> {
    let count = 0;
    for (const one of queues) count += await this.discardAt(one, await findPlaces(this.client, one.queue, ids));
    return count;
  }

  /** BullMQ would also remove a completed job, which is what an id is known by, and would count one that is not there. */
  private async discardAt({ queue }: KeptQueue, places: readonly Place[]): Promise<number> {
    const inSets = places.filter(({ stage }) => stage !== 'wait' && stage !== 'active' && stage !== 'completed');
    const waiting = places.flatMap(({ stage, id }) => (stage === 'wait' ? [id] : []));
    let count = 0;
    for (const some of portionsOf(inSets, AT_ONCE)) count += await removeAll(queue, some);
    const discarded = await discardWaiting(this.client, queue, waiting);
    count += discarded.count;
    // It looks for each in the list, which may be long.
    for (const id of discarded.left) count += await removeAll(queue, [{ id }]);
    return count;
  }

  /** Finds the queues of all addresses that a filter means, with the address that each belongs to now. */
  private async queues(filter: DeliveryFilter): Promise<KeptQueue[]> {
    const names = await this.names.all();
    return names.flatMap((name) => {
      const known = addressOf(name);
      const address = known && this.ownerOf(known);
      return address && fits(address, filter) ? [{ name, queue: this.queueOf(name), address }] : [];
    });
  }
}

async function countsOf(client: Client, queue: Queue): Promise<Omit<FoundDeliveries, keyof DeliveryAddress>> {
  // Counted before the list is, as they leave both together.
  const counting = client.scard(queue.toKey(DISCARDED));
  const [wait, prioritized, delayed, running, dead] = await queue.getCounts([
    'wait',
    'prioritized',
    'delayed',
    'active',
    'failed',
  ]);
  // The time of some delayed jobs may have come, though nobody has moved them yet.
  const now = Date.now();
  const [dueNow] = delayed > 0 ? await queue.getCounts(['delayed'], now + 1) : [0];
  // Between the two looks, more jobs may have been added.
  const due = Math.min(dueNow, delayed);
  const listed = Math.max(0, wait - (await counting));
  const waiting = listed + prioritized + due;
  const [diedLately, completedLately] = await Promise.all(
    ['failed', 'completed'].map((set) => client.zcount(queue.toKey(set), now - HOUR_MS, '+inf')),
  );
  const oldest = waiting > 0 ? await oldestDueAt(client, queue, now) : undefined;
  return {
    waiting,
    delayed: delayed - due,
    running,
    dead,
    lastHour: { dead: diedLately, completed: completedLately, isExact: true },
    ...(oldest !== undefined && { oldestDueAt: new Date(oldest) }),
  };
}

/** Removes jobs of a queue. What somebody else has moved in the meantime does not count. */
async function removeAll(queue: Queue, jobs: readonly { readonly id: string }[]): Promise<number> {
  const removed = await Promise.all(
    jobs.map(({ id }) =>
      queue.remove(id, false).catch((error: unknown) => {
        if (isScriptsVerdict(error)) return 0;
        throw error;
      }),
    ),
  );
  return removed.filter((one) => one === 1).length;
}
