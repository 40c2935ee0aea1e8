import type { Client } from './connections.js';
import type { Place, Stage } from './place.js';
import type { Queue } from './queues.js';

/** How many jobs one pipeline asks for. */
const AT_ONCE = 100;

/**
 * Finds by their ids the jobs of a queue wherever they are. Lists are not searched for them, but that of
 * what runs, which is short: a job that is nowhere else waits.
 */
export async function findPlaces(client: Client, queue: Queue, ids: readonly string[]): Promise<Place[]> {
  const places: Place[] = [];
  for (const some of portionsOf([...new Set(ids)], AT_ONCE)) places.push(...(await findSome(client, queue, some)));
  return places;
}

const SETS = ['delayed', 'prioritized', 'failed', 'completed'] as const;

async function findSome(client: Client, queue: Queue, ids: readonly string[]): Promise<Place[]> {
  const pipeline = client.pipeline();
  for (const id of ids) {
    pipeline.hget(queue.toKey(id), 'timestamp');
    for (const set of SETS) pipeline.zscore(queue.toKey(set), id);
    pipeline.lpos(queue.keys.active, id);
  }
  const replies = (await pipeline.exec()) ?? [];
  for (const [error] of replies) if (error) throw error;
  const width = SETS.length + 2;
  return ids.flatMap((id, index) => {
    const [timestamp, ...rest] = replies.slice(index * width, (index + 1) * width).map(([, value]) => value);
    const found = SETS.findIndex((_, at) => rest[at] !== null);
    if (timestamp === null) return [];
    const inList = rest[SETS.length] === null ? 'wait' : 'active';
    const stage: Stage = found < 0 ? inList : (SETS[found] as Stage);
    return [{ stage, id, at: Number(found < 0 ? timestamp : rest[found]), before: [] }];
  });
}

/** Divides into portions of at most so many. */
export function* portionsOf<T>(all: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}
