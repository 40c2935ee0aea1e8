import { addressName, addressOf, type DeliveryAddress, fits, type FoundDeliveries } from '../engine/index.js';
import type { Client } from './connections.js';
import { portionsOf } from './places.js';
import type { QueueNames } from './queue-names.js';
import type { Queue } from './queues.js';
import type { Declared } from './writer.js';

/** The field, beside BullMQ's own `paused`, of what is known of a queue, which tells since when it is paused. */
export const PAUSED_SINCE = 'pausedSince';

/** Marks queues as paused at a time, and answers for each whether it was not. BullMQ's scripts heed that. */
const MARK = `
  local fresh = {}
  for at, meta in ipairs(KEYS) do
    fresh[at] = redis.call('hsetnx', meta, 'paused', 1)
    if fresh[at] == 1 then redis.call('hset', meta, '${PAUSED_SINCE}', ARGV[1]) end
  end
  return fresh`;

/** Takes the marks from queues, and answers for each whether it had one. */
const UNMARK = `
  local had = {}
  for at, meta in ipairs(KEYS) do
    had[at] = redis.call('hdel', meta, 'paused')
    redis.call('hdel', meta, '${PAUSED_SINCE}')
  end
  return had`;

/**
 * Marks the first queue as paused, if one of the others is: the earliest time among them, if they tell one. Its own name is new
 * to the server, or was only named by who does not perform what lies there.
 */
const INHERIT = `
  if redis.call('sismember', KEYS[1], ARGV[1]) == 1 and redis.call('sismember', KEYS[2], ARGV[1]) == 0 then return 0 end
  local isPaused, since = false, tonumber(ARGV[2])
  for at = 4, #KEYS do
    local paused, time = unpack(redis.call('hmget', KEYS[at], 'paused', '${PAUSED_SINCE}'))
    if paused then
      isPaused = true
      since = math.min(since, tonumber(time or ARGV[2]))
    end
  end
  if isPaused and redis.call('hsetnx', KEYS[3], 'paused', 1) == 1 then
    redis.call('hset', KEYS[3], '${PAUSED_SINCE}', string.format('%.0f', since))
  end
  return 0`;

/**
 * Reads since when queues are paused, in milliseconds since 1970; of those that are not, nothing. Where somebody else has paused one,
 * as a dashboard does, the stream of its events tells; or when the oldest of these was, since it was paused before. 0 says that
 * nobody knows. Of one that a dashboard has resumed it forgets the time.
 */
const READ = `
  local times = {}
  for at = 1, #KEYS, 2 do
    local paused, since = redis.call('hget', KEYS[at], 'paused'), redis.call('hget', KEYS[at], '${PAUSED_SINCE}')
    if since and not paused then
      redis.call('hdel', KEYS[at], '${PAUSED_SINCE}')
    elseif paused and not since then
      since = '0'
      for _, entry in ipairs(redis.call('xrevrange', KEYS[at + 1], '+', '-', 'count', ARGV[1])) do
        since = string.match(entry[1], '^%d+')
        if entry[2][2] == 'paused' then break end
      end
    end
    table.insert(times, paused and since or '')
  end
  return times`;

/** BullMQ keeps about so many events. */
const MOST_EVENTS = 2_000;
/** How many queues one script looks at. */
const QUEUES_AT_ONCE = 500;

const metaOf = (queue: Queue) => queue.toKey('meta');

/** A queue, with the address that its deliveries belong to now. */
interface Owned {
  readonly queue: Queue;
  readonly address: DeliveryAddress;
}

/** The things that {@link Pauses} need. */
export interface PausesOptions {
  readonly client: Client;
  readonly names: QueueNames;
  readonly queueOf: (name: string) => Queue;
  /** Which address has the deliveries of a queue now that was made under a former id. */
  readonly owners: ReadonlyMap<string, DeliveryAddress>;
}

/** Pauses callbacks by BullMQ's own means, which all its scripts and dashboards know, and has instances go on with them. */
export class Pauses {
  constructor(private readonly options: PausesOptions) {}

  /** Pauses a callback that is about to be declared, if it is new and one of the queues is paused that it had before. */
  async inherit({ name, queue, former }: Declared): Promise<void> {
    const { client, names } = this.options;
    if (former.length === 0) return;
    const keys = [names.key, names.remoteKey, ...[queue, ...former].map(metaOf)];
    await client.eval(INHERIT, keys.length, ...keys, name, Date.now());
  }

  /** Resolves to how many callbacks this has paused. */
  async pause(filter: Partial<DeliveryAddress>): Promise<number> {
    const meant = await this.meant(filter);
    const fresh = await this.mark(MARK, meant);
    // It takes the marker away by which instances are called, and tells who watches the queue.
    await Promise.all(fresh.map(({ queue }) => queue.pause(true)));
    return countOf(fresh);
  }

  /** Resolves to how many callbacks this has resumed. */
  async resume(filter: Partial<DeliveryAddress>): Promise<number> {
    const meant = await this.meant(filter);
    const had = await this.mark(UNMARK, meant);
    // It calls instances to what waits.
    await Promise.all(had.map(({ queue }) => queue.pause(false)));
    return countOf(had);
  }

  /** Which callbacks are paused. */
  async paused(): Promise<FoundDeliveries[]> {
    const found: FoundDeliveries[] = [];
    for (const some of portionsOf(await this.meant({}), QUEUES_AT_ONCE)) {
      const keys = some.flatMap(({ queue }) => [metaOf(queue), queue.keys.events]);
      const times = (await this.options.client.eval(READ, keys.length, ...keys, MOST_EVENTS)) as string[];
      some.forEach(({ address }, at) => {
        if (times[at]) found.push({ ...address, pausedSince: new Date(Number(times[at])) });
      });
    }
    return found;
  }

  /** Runs a script on some queues at once. Resolves to those for which it answers yes. */
  private async mark(script: string, meant: readonly Owned[]): Promise<readonly Owned[]> {
    if (meant.length === 0) return [];
    const keys = meant.map(({ queue }) => metaOf(queue));
    const answers = (await this.options.client.eval(script, keys.length, ...keys, Date.now())) as number[];
    return meant.filter((_, at) => answers[at] === 1);
  }

  /** The queues of the callbacks that a filter means, also those of former ids that nobody has named yet. */
  private async meant(filter: Partial<DeliveryAddress>): Promise<readonly Owned[]> {
    const { names, owners, queueOf } = this.options;
    return [...new Set([...(await names.all()), ...owners.keys()])].flatMap((name) => {
      const address = owners.get(name) ?? addressOf(name);
      return address && fits(address, filter) ? [{ queue: queueOf(name), address }] : [];
    });
  }
}

const countOf = (changed: readonly Owned[]): number => new Set(changed.map(({ address }) => addressName(address))).size;
