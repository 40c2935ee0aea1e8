import type { DeliveryAddress, DeliveryQuery, DeliveryState, KeptDelivery } from '../engine/index.js';
import type { Client } from './connections.js';
import { delayedUntil, type Fields, FIELDS, fieldsIn, keptOf } from './kept-job.js';
import { cursorAt, pageOf, type Place, readCursorAt, type Stage, STAGES } from './pages.js';
import { findPlaces, portionsOf } from './places.js';
import type { Queue } from './queues.js';

/** A queue, and the address that its deliveries belong to now. */
export interface KeptQueue {
  readonly name: string;
  readonly queue: Queue;
  readonly address: DeliveryAddress;
}

/** How many jobs are read at once, so that whatever else there is to do need not wait for long. */
const AT_ONCE = 100;

/** Lists the deliveries of some queues that are in one state: one queue after the other, and in it what waits for its time first. */
export class KeptList {
  private readonly queues: readonly KeptQueue[];

  constructor(
    private readonly client: Client,
    queues: readonly KeptQueue[],
  ) {
    this.queues = [...queues].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  async page({ state, limit, after, ids }: DeliveryQuery): Promise<KeptDelivery[]> {
    const last = after === undefined ? undefined : readCursorAt(after, state);
    const kept: KeptDelivery[] = [];
    for (const one of this.queues) {
      if (last && one.name < last.name) continue;
      const place = last?.name === one.name ? last.place : undefined;
      const rest = { state, limit: limit - kept.length };
      kept.push(...(ids ? await this.byIds(one, ids, rest, place) : await this.ofQueue(one, rest, place)));
      if (kept.length >= limit) break;
    }
    return kept;
  }

  private async ofQueue(
    queue: KeptQueue,
    { state, limit }: Pick<DeliveryQuery, 'state' | 'limit'>,
    after: Place | undefined,
  ): Promise<KeptDelivery[]> {
    const stages: readonly Stage[] = STAGES[state];
    const kept: KeptDelivery[] = [];
    let delayedReadAt = after?.delayedReadAt;
    for (let place = after, at = place ? stages.indexOf(place.stage) : 0; at < stages.length && kept.length < limit;) {
      const wanted = limit - kept.length;
      const stage = stages[at];
      if (stage === 'delayed') delayedReadAt = Date.now();
      const places = await pageOf(this.client, queue.queue, stage, wanted, place);
      kept.push(
        ...(await this.read(
          queue,
          state,
          places.map((one) => ({ ...one, delayedReadAt })),
        )),
      );
      // What has ended since is passed over, so that a page may take several reads.
      place = places.at(-1);
      if (places.length < wanted) [place, at] = [undefined, at + 1];
    }
    return kept;
  }

  private async byIds(
    queue: KeptQueue,
    ids: readonly string[],
    { state, limit }: Pick<DeliveryQuery, 'state' | 'limit'>,
    after: Place | undefined,
  ): Promise<KeptDelivery[]> {
    const stages: readonly Stage[] = STAGES[state];
    const rank = ({ stage, at, id }: Place) => [stages.indexOf(stage), at, id] as const;
    const places = (await findPlaces(this.client, queue.queue, ids))
      .filter(({ stage }) => stages.includes(stage))
      .sort((one, other) => compare(rank(one), rank(other)))
      .filter((place) => !after || compare(rank(place), rank(after)) > 0);
    return (await this.read(queue, state, places)).slice(0, limit);
  }

  private async read(queue: KeptQueue, state: DeliveryState, places: readonly Place[]): Promise<KeptDelivery[]> {
    const kept: KeptDelivery[] = [];
    for (const some of portionsOf(places, AT_ONCE)) kept.push(...(await this.readSome(queue, state, some)));
    return kept;
  }

  private async readSome({ name, queue, address }: KeptQueue, state: DeliveryState, places: readonly Place[]) {
    const pipeline = this.client.pipeline();
    for (const { id } of places) pipeline.hmget(queue.toKey(id), ...FIELDS);
    const replies = (await pipeline.exec()) ?? [];
    for (const [error] of replies) if (error) throw error;
    return places.flatMap((place, index) => {
      const fields = fieldsIn(replies[index][1] as (string | null)[]);
      if (fields.data === null || wasReadAsDelayed(place, fields)) return [];
      const { id, stage, at } = place;
      const found = { ...address, id, state, cursor: cursorAt(state, name, place) };
      return keptOf({ ...found, ...(stage === 'delayed' && { delayed: at }) }, fields);
    });
  }
}

/** Whether a job came due after all that was delayed had been read, and so was among that. */
function wasReadAsDelayed({ stage, delayedReadAt }: Place, fields: Fields): boolean {
  const until = stage === 'delayed' ? undefined : delayedUntil(fields);
  return delayedReadAt !== undefined && until !== undefined && until > delayedReadAt;
}

type Rank = readonly [stage: number, at: number, id: string];

function compare(one: Rank, other: Rank): number {
  const at = one.findIndex((part, index) => part !== other[index]);
  if (at < 0) return 0;
  return one[at] < other[at] ? -1 : 1;
}
