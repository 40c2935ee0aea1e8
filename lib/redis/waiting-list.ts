import type { Client } from './connections.js';
import { DISCARDED } from './discarded.js';
import type { Known, Place, Wanted } from './place.js';
import type { Queue } from './queues.js';

/** How many jobs before it find the place of one again that is gone from the list of what waits. */
const MOST_BEFORE = 4;

/** How far a place in that list is looked for around where it was, before all of the list is searched. */
const NEAR = 1_000;

/** How many ids of the list one script looks at. */
const MOST_LOOKED_AT = 5_000;

/**
 * Reads the list of what waits from its right end, where the oldest are, or from its left one, after the first of some jobs that is
 * found near a place. Without jobs it begins at that end. All in one step, as jobs are taken from the right. Answers with ids, their
 * indexes from the right and stamps, and the place to go on from, if there may be more. It leaves out what was discarded.
 */
const READ = `
  local wait, discarded, queue = KEYS[1], KEYS[2], ARGV[1]
  local limit, at, near = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
  local isNewest = ARGV[5] == 'newest'
  local step = isNewest and -1 or 1
  local function stampOf(id)
    local stored, taken, due = unpack(redis.call('hmget', queue .. id, 'timestamp', 'ats', 'due'))
    return stored and stored .. ' ' .. (taken or '') .. ' ' .. (due or '')
  end
  local function isWhereItWas(id, stamp)
    local now = stampOf(id)
    return not now or now == stamp
  end
  if #ARGV > 5 then
    local from = math.max(0, at - near)
    local indexes = {}
    local around = redis.call('lrange', wait, -(at + near) - 1, -from - 1)
    for index, id in ipairs(around) do indexes[id] = from + #around - index end
    local found
    for i = 6, #ARGV, 2 do
      found = found or (indexes[ARGV[i]] and isWhereItWas(ARGV[i], ARGV[i + 1]) and indexes[ARGV[i]])
    end
    if not found then return false end
    at = found + step
  else
    at = isNewest and redis.call('llen', wait) - 1 or 0
  end
  if at < 0 then return { {}, false } end
  local isAnyDiscarded = redis.call('exists', discarded) == 1
  local size = isAnyDiscarded and ${MOST_LOOKED_AT} or limit
  local ids
  if isNewest then ids = redis.call('lrange', wait, -at - 1, math.min(size - at - 2, -1))
  else ids = redis.call('lrange', wait, -at - size, -at - 1) end
  local found = {}
  for index = 1, #ids do
    local id = ids[isNewest and index or #ids - index + 1]
    if not isAnyDiscarded or redis.call('sismember', discarded, id) == 0 then
      table.insert(found, { id, at, stampOf(id) or '' })
    end
    at = at + step
    if #found == limit then return { found } end
  end
  return { found, #ids == size and { ids[isNewest and #ids or 1], at - step } or false }`;

type Found = [id: string, at: number, stamp: string];

type Answer = [found: Found[], goOn: [id: string, at: number] | null | undefined];

/** Reads the list of what waits. */
export async function pageOfWaiting(client: Client, queue: Queue, wanted: Wanted): Promise<Place[]> {
  const { limit, after } = wanted;
  const page: Place[] = [];
  for (let from = after; ;) {
    const [found, goOn] = await readWaiting(client, queue, { ...wanted, limit: limit - page.length, after: from });
    for (const [id, at, stamp] of found) {
      const nearest = page.slice(-MOST_BEFORE).reverse();
      const known = nearest.map((one): Known => [one.id, one.stamp!]);
      // The last of the page before is found, too, when somebody discards each page that was read.
      page.push({ stage: 'wait', id, at, stamp, before: [...known, ...earlier(after, wanted)] });
    }
    if (!goOn) return page;
    const [id, at] = goOn;
    from = { stage: 'wait', id, at, stamp: '', before: [...earlier(from, wanted)] };
  }
}

/**
 * What else finds the place, if all those near it are gone: what was read before. From the newest on, they are gone as they were at
 * the end, and nothing is left behind it.
 */
const earlier = (place: Place | undefined, { order }: Wanted) => (place && order !== 'newest' ? [knownOf(place)] : []);

const knownOf = ({ id, stamp = '' }: Place): Known => [id, stamp];

async function readWaiting(client: Client, queue: Queue, { limit, after, order = 'oldest' }: Wanted): Promise<Answer> {
  const keys = [queue.toKey('wait'), queue.toKey(DISCARDED)] as const;
  const read = (at: number, known: readonly Known[]) =>
    client.eval(READ, 2, ...keys, queue.toKey(''), limit, at, NEAR, order, ...known.flat()) as Promise<Answer | null>;
  const known = after ? [knownOf(after), ...after.before] : [];
  const page = after && (await read(after.at, known));
  if (page) return page;
  for (const one of known) {
    const fromLeft = await client.lpos(keys[0], one[0], 'RANK', -1);
    const again = fromLeft !== null && (await read((await client.llen(keys[0])) - fromLeft - 1, [one]));
    if (again) return again;
  }
  // Whatever was before it has been taken: the rest is older than that, or else newer, and was read.
  return after && order === 'newest' ? [[], null] : (await read(0, []))!;
}
