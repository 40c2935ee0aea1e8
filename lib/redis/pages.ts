import type { DeliveryState } from '../engine/index.js';
import { cursorOf, readCursor } from '../engine/index.js';
import type { Client } from './connections.js';
import { DISCARDED } from './discarded.js';
import type { Queue } from './queues.js';

/** Which of BullMQ's states make up each of ours, in the order in which they are read. */
export const STAGES = {
  waiting: ['delayed', 'prioritized', 'wait'],
  running: ['active'],
  dead: ['failed'],
} as const satisfies Record<DeliveryState, readonly string[]>;

export type Stage = (typeof STAGES)[DeliveryState][number];

/**
 * A job that was read in the list of what waits, and its stamp: that changes when it is taken, retried or stored anew. It lies
 * elsewhere then.
 */
export type Known = readonly [id: string, stamp: string];

/** A job's place in a queue. */
export interface Place {
  readonly stage: Stage;
  readonly id: string;
  /** Its score in a sorted set, or its index in the list of what waits, from the oldest. */
  readonly at: number;
  /** Of one in the list of what waits. */
  readonly stamp?: string;
  /** What was before it in the list, the nearest first: by these the place is found again when the job is gone. */
  readonly before: readonly Known[];
  /** When all that was delayed had been read, in milliseconds since 1970. What came due later was read as that. */
  readonly delayedReadAt?: number;
}

/** How many jobs before it find the place of one again that is gone from the list of what waits. */
const MOST_BEFORE = 4;

/** How far a place in that list is looked for around where it was, before all of the list is searched. */
const NEAR = 1_000;

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
  if (stage === 'wait') return pageOfWaiting(client, queue, limit, after);
  if (stage === 'active') return pageOfRunning(client, queue.keys.active, limit, after);
  return pageOfSet(client, queue.toKey(stage), { stage, limit, after });
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

/** Reads what runs, by ids: it ends in any order, and the list is short. */
async function pageOfRunning(client: Client, key: string, limit: number, after?: Place): Promise<Place[]> {
  const ids = (await client.lrange(key, 0, -1)).sort();
  const from = after ? ids.filter((id) => id > after.id) : ids;
  return from.slice(0, limit).map((id) => ({ stage: 'active', id, at: 0, before: [] }));
}

/** How many ids of the list one script looks at. */
const MOST_LOOKED_AT = 5_000;

/**
 * Reads the list of what waits from its right end, where the oldest are, after the first of some jobs that is found near a place.
 * Without jobs it begins at the place. All in one step, as jobs are taken from that end. Answers with ids, their indexes and
 * stamps, and the place to go on from, if there may be more. It leaves out what was discarded.
 */
const READ = `
  local wait, discarded, queue = KEYS[1], KEYS[2], ARGV[1]
  local limit, at, near = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
  local function stampOf(id)
    local stored, taken, due = unpack(redis.call('hmget', queue .. id, 'timestamp', 'ats', 'due'))
    return stored and stored .. ' ' .. (taken or '') .. ' ' .. (due or '')
  end
  local function isWhereItWas(id, stamp)
    local now = stampOf(id)
    return not now or now == stamp
  end
  if #ARGV > 4 then
    local from = math.max(0, at - near)
    local indexes = {}
    local around = redis.call('lrange', wait, -(at + near) - 1, -from - 1)
    for index, id in ipairs(around) do indexes[id] = from + #around - index end
    local found
    for i = 5, #ARGV, 2 do
      found = found or (indexes[ARGV[i]] and isWhereItWas(ARGV[i], ARGV[i + 1]) and indexes[ARGV[i]])
    end
    if not found then return false end
    at = found + 1
  end
  local isAnyDiscarded = redis.call('exists', discarded) == 1
  local size = isAnyDiscarded and ${MOST_LOOKED_AT} or limit
  local ids = redis.call('lrange', wait, -at - size, -at - 1)
  local found = {}
  for index = #ids, 1, -1 do
    local id = ids[index]
    if not isAnyDiscarded or redis.call('sismember', discarded, id) == 0 then
      table.insert(found, { id, at, stampOf(id) or '' })
    end
    at = at + 1
    if #found == limit then return { found } end
  end
  return { found, #ids == size and { ids[1], at - 1 } or false }`;

type Found = [id: string, at: number, stamp: string];

type Answer = [found: Found[], goOn: [id: string, at: number] | null | undefined];

async function pageOfWaiting(client: Client, queue: Queue, limit: number, after?: Place): Promise<Place[]> {
  const page: Place[] = [];
  for (let from = after; ;) {
    const [found, goOn] = await readWaiting(client, queue, limit - page.length, from);
    for (const [id, at, stamp] of found) {
      const nearest = page.slice(-MOST_BEFORE).reverse();
      const known = nearest.map((one): Known => [one.id, one.stamp!]);
      // The last of the page before is found, too, when somebody discards each page that was read.
      page.push({ stage: 'wait', id, at, stamp, before: [...known, ...(after ? [knownOf(after)] : [])] });
    }
    if (!goOn) return page;
    const [id, at] = goOn;
    from = { stage: 'wait', id, at, stamp: '', before: from ? [knownOf(from)] : [] };
  }
}

const knownOf = ({ id, stamp = '' }: Place): Known => [id, stamp];

async function readWaiting(client: Client, queue: Queue, limit: number, after?: Place): Promise<Answer> {
  const keys = [queue.toKey('wait'), queue.toKey(DISCARDED)] as const;
  const read = (at: number, known: readonly Known[]) =>
    client.eval(READ, 2, ...keys, queue.toKey(''), limit, at, NEAR, ...known.flat()) as Promise<Answer | null>;
  const known = after ? [knownOf(after), ...after.before] : [];
  const page = after && (await read(after.at, known));
  if (page) return page;
  for (const one of known) {
    const fromLeft = await client.lpos(keys[0], one[0], 'RANK', -1);
    const again = fromLeft !== null && (await read((await client.llen(keys[0])) - fromLeft - 1, [one]));
    if (again) return again;
  }
  // Whatever was before it has been taken.
  return (await read(0, []))!;
}
