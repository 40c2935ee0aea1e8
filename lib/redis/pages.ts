import type { DeliveryState } from '../engine/index.js';
import { cursorOf, readCursor } from '../engine/index.js';
import type { Client } from './connections.js';
import type { Queue } from './queues.js';

/** Which of BullMQ's states make up each of ours, in the order in which they are read. */
export const STAGES = {
  waiting: ['delayed', 'prioritized', 'wait'],
  running: ['active'],
  dead: ['failed'],
} as const satisfies Record<DeliveryState, readonly string[]>;

export type Stage = (typeof STAGES)[DeliveryState][number];

/** A job's place in a queue. */
export interface Place {
  readonly stage: Stage;
  readonly id: string;
  /** Its score in a sorted set, or its index in a list, from the oldest. */
  readonly at: number;
  /** What was before it in a list, the nearest first: by these the place is found again when the job is gone. */
  readonly before: readonly string[];
  /** When all that was delayed had been read, in milliseconds since 1970. What came due later was read as that. */
  readonly delayedReadAt?: number;
}

/** How many jobs before it find the place of one again that is gone from a list. */
const MOST_BEFORE = 4;

/** How far a place in a list is looked for around where it was, before all of the list is searched. */
const NEAR = 1_000;

export const isList = (stage: Stage): boolean => stage === 'wait' || stage === 'active';

/** Makes the cursor of a job in the list of a state, over all queues. */
export const cursorAt = (state: DeliveryState, name: string, place: Place): string =>
  cursorOf(state, name, JSON.stringify(place));

/** Reads such a cursor. */
export function readCursorAt(cursor: string, state: DeliveryState): { name: string; place: Place } {
  const [name, place] = readCursor(cursor, state, [/./, /^\{"stage":.+"id":.+"at":\d.*"before":\[.*\}$/]);
  return { name, place: JSON.parse(place) as Place };
}

/** Reads the jobs of a queue that are in one stage, from the oldest on, after a place in it. */
export function pageOf(client: Client, queue: Queue, stage: Stage, limit: number, after?: Place): Promise<Place[]> {
  return isList(stage)
    ? pageOfList(client, queue.toKey(stage), { stage, limit, after })
    : pageOfSet(client, queue.toKey(stage), { stage, limit, after });
}

interface Wanted {
  readonly stage: Stage;
  readonly limit: number;
  readonly after?: Place;
}

async function pageOfSet(client: Client, key: string, { stage, limit, after }: Wanted): Promise<Place[]> {
  const page: Place[] = [];
  // Those of the same score are ordered by their ids. Few have the same.
  for (let offset = 0; page.length < limit;) {
    const from = after?.at ?? '-inf';
    const found = await client.zrangebyscore(key, from, '+inf', 'WITHSCORES', 'LIMIT', offset, limit);
    for (let index = 0; index < found.length; index += 2) {
      const [id, at] = [found[index], Number(found[index + 1])];
      if (!after || at > after.at || id > after.id) page.push({ stage, id, at, before: [] });
    }
    if (found.length < 2 * limit) break;
    offset += limit;
  }
  return page.slice(0, limit);
}

/**
 * Reads a list from its right end, after the first of some ids that is found near a place. Without ids it begins at the end. All
 * in one step, as jobs are taken from that end.
 */
const READ_LIST = `
  local limit, at, near = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
  local start = 0
  if #ARGV > 3 then
    local from = math.max(0, at - near)
    local indexes = {}
    local around = redis.call('lrange', KEYS[1], -(at + near) - 1, -from - 1)
    for index, id in ipairs(around) do indexes[id] = from + #around - index end
    local found
    for i = 4, #ARGV do found = found or indexes[ARGV[i]] end
    if not found then return false end
    start = found + 1
  end
  return {start, redis.call('lrange', KEYS[1], -start - limit, -start - 1)}`;

/** BullMQ takes from the right end of a list, so that is where the oldest are. */
async function pageOfList(client: Client, key: string, { stage, limit, after }: Wanted): Promise<Place[]> {
  const [start, found] = await readList(client, key, limit, after);
  const ids = found.reverse();
  return ids.map((id, index) => {
    const nearest = ids.slice(Math.max(0, index - MOST_BEFORE), index).reverse();
    // The last of the page before is found, too, when somebody discards each page that was read.
    return { stage, id, at: start + index, before: [...nearest, ...(after ? [after.id] : [])] };
  });
}

async function readList(client: Client, key: string, limit: number, after?: Place): Promise<[number, string[]]> {
  const read = (at: number, ids: readonly string[]) =>
    client.eval(READ_LIST, 1, key, limit, at, NEAR, ...ids) as Promise<[number, string[]] | null>;
  const known = after ? [after.id, ...after.before] : [];
  const page = after && (await read(after.at, known));
  if (page) return page;
  for (const id of known) {
    const fromLeft = await client.lpos(key, id, 'RANK', -1);
    const again = fromLeft !== null && (await read((await client.llen(key)) - fromLeft - 1, [id]));
    if (again) return again;
  }
  // Whatever was before it has been taken, or discarded.
  return (await read(0, []))!;
}
