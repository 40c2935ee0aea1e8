import {
  addressOf,
  countsByAddress,
  type DeliveryAddress,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryQuery,
  fits,
  type FoundDeliveries,
  type KeptDelivery,
  type KnownAddress,
  type RetriedPortion,
  type RetryPortion,
} from '../engine/index.js';
import type { Client } from './connections.js';
import { DISCARDED } from './discarded.js';
import { discardWaiting } from './discards.js';
import { KeptList, type KeptQueue } from './kept-list.js';
import { oldestDueAt } from './oldest-due.js';
import type { Pauses } from './pauses.js';
import { findPlaces, portionsOf } from './places.js';
import type { QueueNames } from './queue-names.js';
import { isScriptsVerdict, type Queue } from './queues.js';
import { Retries } from './retries.js';

/** How many jobs are removed at once. */
const AT_ONCE = 50;

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

  async list(query: DeliveryQuery): Promise<KeptDelivery[]> {
    return new KeptList(this.client, await this.queues(query)).page(query);
  }

  async retry(filter: DeliveryFilter, portion: RetryPortion): Promise<RetriedPortion> {
    const queues = await this.queues(filter);
    return filter.ids ? { count: await this.retries.byIds(queues, filter.ids) } : this.retries.portion(queues, portion);
  }

  async discard(filter: DeliveryFilter & { readonly ids: readonly string[] }): Promise<number> {
    let count = 0;
    for (const { queue } of await this.queues(filter)) {
      // BullMQ would also remove a completed job, which is what an id is known by, and would count one that is not there.
      const places = await findPlaces(this.client, queue, filter.ids);
      const waiting = places.filter(({ stage }) => stage === 'wait');
      const inSets = places.filter(({ stage }) => stage !== 'wait' && stage !== 'active');
      for (const some of portionsOf(inSets, AT_ONCE)) count += await removeAll(queue, some);
      const discarded = await discardWaiting(
        this.client,
        queue,
        waiting.map(({ id }) => id),
      );
      count += discarded.count;
      // It looks for each in the list, which may be long.
      for (const id of discarded.left) count += await removeAll(queue, [{ id }]);
    }
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
  const oldest = waiting > 0 ? await oldestDueAt(client, queue, now) : undefined;
  return {
    waiting,
    delayed: delayed - due,
    running,
    dead,
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
