import type { DeliveryPage, DeliveryQuery, DeliveryState, KeptDelivery } from '../engine/index.js';
import type { Client } from './connections.js';
import { historyIn, logsKey } from './history.js';
import { delayedUntil, type Fields, FIELDS, fieldsIn, keptOf } from './kept-job.js';
import type { KeptQueue } from './kept-queue.js';
import { cursorAt, readCursorAt } from './pages.js';
import type { Place } from './place.js';
import { portionsOf } from './places.js';
import { Scanning } from './scan.js';

/** How many jobs are read at once, so that whatever else there is to do need not wait for long. */
const AT_ONCE = 100;

/** Lists the deliveries of some queues that are in one state: one queue after the other, and in it what waits for its time first. */
export class KeptList {
  constructor(
    private readonly client: Client,
    private readonly queues: readonly KeptQueue[],
  ) {}

  async page({ state, limit, order, after, ...filter }: DeliveryQuery): Promise<DeliveryPage> {
    const from = after === undefined ? {} : { after: readCursorAt(after, state) };
    const scan = { state, limit, order, filter, ...from };
    const { found, scanned, last } = await Scanning.of(this.client, this.queues, scan);
    const kept: KeptDelivery[] = [];
    for (const { queue, places } of found) {
      for (const some of portionsOf(places, AT_ONCE)) kept.push(...(await this.read(queue, state, some)));
    }
    return { found: kept, scanned, ...(last?.place && { after: cursorAt(state, last.name, last.place) }) };
  }

  /** Reads jobs. What has left its place since it was found there is passed over. */
  private async read({ queue, address }: KeptQueue, state: DeliveryState, places: readonly Place[]) {
    const pipeline = this.client.pipeline();
    for (const { id } of places) {
      pipeline.hmget(queue.toKey(id), ...FIELDS);
      pipeline.lrange(logsKey(queue.toKey(id)), 0, -1);
    }
    const replies = (await pipeline.exec()) ?? [];
    for (const [error] of replies) if (error) throw error;
    return places.flatMap((place, index) => {
      const fields = fieldsIn(replies[2 * index][1] as (string | null)[]);
      if (Object.values(fields).every((value) => value === null) || wasReadAsDelayed(place, fields)) return [];
      const { id, stage, at } = place;
      const history = historyIn(replies[2 * index + 1][1] as string[]);
      return keptOf({ ...address, id, state, history, ...(stage === 'delayed' && { delayed: at }) }, fields);
    });
  }
}

/** Whether a job came due after all that was delayed had been read, and so was among that. */
function wasReadAsDelayed({ stage, delayedReadAt }: Place, fields: Fields): boolean {
  const until = stage === 'delayed' ? undefined : delayedUntil(fields);
  return delayedReadAt !== undefined && until !== undefined && until > delayedReadAt;
}
