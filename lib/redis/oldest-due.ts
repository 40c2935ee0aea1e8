import type { Client } from './connections.js';
import { dueSince, timeOf } from './kept-job.js';
import type { Queue } from './queues.js';

/** How many are looked at of those that BullMQ takes next. The first is nearly always the oldest: only what was handed back overtakes. */
const LOOKED_AT = 20;

/**
 * Reads the times of the jobs of a queue that BullMQ takes next, and the score of the delayed one that is due first. What was
 * discarded has no fields any more.
 */
const READ = `
  local wait, prioritized, delayed = unpack(KEYS)
  local queue, most = ARGV[1], tonumber(ARGV[2])
  local found = {}
  local function read(ids)
    for _, id in ipairs(ids) do
      local times = redis.call('hmget', queue .. id, 'timestamp', 'due', 'opts')
      if times[1] then table.insert(found, times) end
    end
  end
  read(redis.call('lrange', wait, -most, -1))
  read(redis.call('zrange', prioritized, 0, most - 1))
  return { found, redis.call('zrange', delayed, 0, 0, 'withscores')[2] or false }`;

type Times = [timestamp: string, due: string | null, opts: string | null];
type Answer = [found: Times[], score: string | null];

/** Since when the oldest delivery of a queue is due, of those that wait, in milliseconds since 1970. */
export async function oldestDueAt(client: Client, queue: Queue, now: number): Promise<number | undefined> {
  const keys = ['wait', 'prioritized', 'delayed'].map((name) => queue.toKey(name));
  const answer = await client.eval(READ, keys.length, ...keys, queue.toKey(''), LOOKED_AT);
  const [found, score] = answer as Answer;
  const listed = found.map(([timestamp, due, opts]) => dueSince({ timestamp, due, opts }));
  const delayed = score === null ? Infinity : timeOf(Number(score));
  const oldest = Math.min(...listed, delayed <= now ? delayed : Infinity);
  return oldest === Infinity ? undefined : oldest;
}
