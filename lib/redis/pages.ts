import type { DeliveryState } from '../engine/index.js';
import { cursorOf, readCursor } from '../engine/index.js';
import type { Client } from './connections.js';
import type { Place, Stage, Wanted } from './place.js';
import type { Queue } from './queues.js';
import { pageOfWaiting } from './waiting-list.js';

/** Makes the cursor of a job in the list of a state, over all queues. */
export const cursorAt = (state: DeliveryState, name: string, place: Place): string =>
  cursorOf(state, name, JSON.stringify(place));

/** Reads such a cursor. */
export function readCursorAt(cursor: string, state: DeliveryState): { name: string; place: Place } {
  const [name, place] = readCursor(cursor, state, [/./, /^\{"stage":.+"id":.+"at":\d.*"before":\[.*\}$/]);
  return { name, place: JSON.parse(place) as Place };
}

/** Reads the jobs of a queue that are in one stage, from the oldest on or from the newest, after a place in it. */
export function pageOf(client: Client, queue: Queue, stage: Stage, wanted: Wanted): Promise<Place[]> {
  if (stage === 'wait') return pageOfWaiting(client, queue, wanted);
  if (stage === 'active') return pageOfRunning(client, queue.keys.active, wanted);
  return pageOfSet(client, queue.toKey(stage), stage, wanted);
}

async function pageOfSet(client: Client, key: string, stage: Stage, wanted: Wanted): Promise<Place[]> {
  const { limit, after, order, least = -Infinity, below = Infinity } = wanted;
  const isNewest = order === 'newest';
  const [from, to] = isNewest
    ? [after && after.at < below ? after.at : before(below), bound(least)]
    : [bound(after && after.at > least ? after.at : least), before(below)];
  const page: Place[] = [];
  // Those of the same score are ordered by their ids. Few have the same.
  for (let offset = 0; page.length < limit;) {
    const found = isNewest
      ? await client.zrevrangebyscore(key, from, to, 'WITHSCORES', 'LIMIT', offset, limit)
      : await client.zrangebyscore(key, from, to, 'WITHSCORES', 'LIMIT', offset, limit);
    for (let index = 0; index < found.length; index += 2) {
      const [id, at] = [found[index], Number(found[index + 1])];
      const isBehind = !after || at !== after.at || (isNewest ? id < after.id : id > after.id);
      if (isBehind) page.push({ stage, id, at, before: [] });
    }
    if (found.length < 2 * limit) break;
    offset += limit;
  }
  return page.slice(0, limit);
}

const bound = (score: number): string | number => (score === -Infinity ? '-inf' : score);
const before = (score: number): string => (score === Infinity ? '+inf' : `(${score}`);

/** Reads what runs, by ids: it ends in any order, and the list is short. */
async function pageOfRunning(client: Client, key: string, { limit, after, order }: Wanted): Promise<Place[]> {
  const ids = (await client.lrange(key, 0, -1)).sort();
  if (order === 'newest') ids.reverse();
  const from = after ? ids.filter((id) => (order === 'newest' ? id < after.id : id > after.id)) : ids;
  return from.slice(0, limit).map((id) => ({ stage: 'active', id, at: 0, before: [] }));
}
