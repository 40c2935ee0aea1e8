import type { Client } from './connections.js';
import { DISCARDED, PASS_DISCARDED } from './discarded.js';
import { portionsOf } from './places.js';
import type { Queue } from './queues.js';

/** How many jobs one script discards. */
const AT_ONCE = 100;

/**
 * Discards jobs that wait in the list. Answers for each job whether it has, or -1 for one that BullMQ has to remove itself: of
 * a flow, of a schedule, or deduplicated. None of ours is.
 */
const DISCARD = `
  ${PASS_DISCARDED}
  local wait, active, discarded, events, meta = unpack(KEYS)
  local queue, done = ARGV[1], {}
  local function isElsewhere(id)
    for _, set in ipairs({ 'delayed', 'prioritized', 'completed', 'failed', 'waiting-children' }) do
      if redis.call('zscore', queue .. set, id) then return true end
    end
    return redis.call('lpos', active, id) or redis.call('exists', queue .. id .. ':lock') == 1
  end
  for at = 2, #ARGV do
    local id = ARGV[at]
    local job = queue .. id
    local parent, deduplicated, scheduled = unpack(redis.call('hmget', job, 'parentKey', 'deid', 'rjk'))
    if redis.call('exists', job) == 0 or isElsewhere(id) then
      done[at - 1] = 0
    elseif parent or deduplicated or scheduled then
      done[at - 1] = -1
    else
      redis.call('unlink', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed', job .. ':unsuccessful')
      redis.call('sadd', discarded, id)
      local most = redis.call('hget', meta, 'opts.maxLenEvents') or 10000
      redis.call('xadd', events, 'MAXLEN', '~', most, '*', 'event', 'removed', 'jobId', id, 'prev', 'wait')
      done[at - 1] = 1
    end
  end
  passDiscarded(wait, discarded)
  return done`;

/** What has become of jobs that were to be discarded. */
export interface Discarded {
  readonly count: number;
  /** The ids of those that only BullMQ can remove. */
  readonly left: readonly string[];
}

/** Discards jobs of a queue that wait in its list, at a cost that does not depend on how many wait there. */
export async function discardWaiting(client: Client, queue: Queue, ids: readonly string[]): Promise<Discarded> {
  const keys = ['wait', 'active', DISCARDED, 'events', 'meta'].map((name) => queue.toKey(name));
  let count = 0;
  const left: string[] = [];
  for (const some of portionsOf(ids, AT_ONCE)) {
    const done = (await client.eval(DISCARD, keys.length, ...keys, queue.toKey(''), ...some)) as number[];
    count += done.filter((one) => one === 1).length;
    left.push(...some.filter((_, index) => done[index] === -1));
  }
  return { count, left };
}
