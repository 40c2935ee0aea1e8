import { randomUUID } from 'node:crypto';
import { Duty, type EngineHealth } from '../engine/index.js';
import type { Client } from './connections.js';
import { DISCARDED } from './discarded.js';
import type { CompleteOptions } from './options.js';
import type { Queue } from './queues.js';

/** How many queues one script looks at, about. */
const QUEUES_AT_ONCE = 100;
/** How many completed jobs of a queue one script removes. */
const FORGOTTEN_AT_ONCE = 250;
/** The longest time between two removals of completed deliveries. */
const FORGETTING_MS = 60_000;
/** How long an instance keeps the duty that does not take it again, in turns. */
const TURNS_KEPT = 1.75;

/** Renews it without setting it: where the memory is full, Redis refuses that. */
const TAKE = `
  local holder = redis.call('get', KEYS[1])
  if holder == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end
  if holder then return 0 end
  redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
  return 1`;

const LEAVE = `if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end`;

/**
 * Looks at some queues. Where something is due, it puts the marker back by which BullMQ tells of it: whoever took it may have
 * died. Answers with the place to go on from, the queues where something runs, and those that have something to forget.
 */
const LOOK = `
  local page = redis.call('sscan', KEYS[1], ARGV[2], 'count', ARGV[3])
  local running, old = {}, {}
  for _, name in ipairs(page[2]) do
    local queue = ARGV[1] .. ':' .. name .. ':'
    local wait, prioritized, delayed, active = queue .. 'wait', queue .. 'prioritized', queue .. 'delayed', queue .. 'active'
    local discarded = queue .. '${DISCARDED}'
    if redis.call('exists', wait, prioritized, delayed, active, discarded) > 0 then
      if redis.call('exists', wait) == 0 then redis.call('del', discarded) end
      local isDue = redis.call('exists', wait, prioritized) > 0
      local first = redis.call('zrange', delayed, 0, 0, 'withscores')[2]
      isDue = isDue or (first and tonumber(first) < (tonumber(ARGV[4]) + 1) * 0x1000)
      if isDue and redis.call('hexists', queue .. 'meta', 'paused') == 0 then
        redis.call('zadd', queue .. 'marker', 0, '0')
      end
      if redis.call('exists', active) == 1 then table.insert(running, name) end
    end
    if ARGV[5] ~= '' and #redis.call('zrangebyscore', queue .. 'completed', '-inf', ARGV[5], 'limit', 0, 1) > 0 then
      table.insert(old, name)
    end
  end
  return { page[1], running, old }`;

/** Has one instance of an application look for what nobody is told of. */
export class Patrol {
  private readonly id = randomUUID();
  private readonly duty: Duty;
  private forgetsFrom = 0;

  /**
   * @param names the key of the set of all queues' names, also of those that this instance does not know
   */
  constructor(
    private readonly client: Client,
    private readonly names: string,
    private readonly queueOf: (name: string) => Queue,
    private readonly options: CompleteOptions,
    health: EngineHealth,
  ) {
    const key = `${options.prefix}:duty`;
    const everyMs = lookEveryMs(options.leaseMs);
    const take = async () => (await client.eval(TAKE, 1, key, this.id, Math.round(everyMs * TURNS_KEPT))) === 1;
    const leave = async () => void (await client.eval(LEAVE, 1, key, this.id));
    this.duty = new Duty({ take, work: () => this.look(), leave, health, everyMs });
  }

  start(): void {
    this.duty.start();
  }

  stop(): Promise<void> {
    return this.duty.stop();
  }

  /** Looks through all queues, a few at a time. */
  private async look(): Promise<void> {
    const { prefix, keepCompletedMs } = this.options;
    const now = Date.now();
    const forgets = now >= this.forgetsFrom;
    if (forgets) this.forgetsFrom = now + Math.min(keepCompletedMs, FORGETTING_MS);
    const before = forgets ? now - keepCompletedMs : '';
    let cursor = '0';
    do {
      const params = [prefix, cursor, QUEUES_AT_ONCE, now, before];
      const answer = await this.client.eval(LOOK, 1, this.names, ...params);
      const [next, running, old] = answer as [string, string[], string[]];
      // Makes the jobs of instances that have died wait again. BullMQ notes a job at one look, and takes it back at the next.
      await Promise.all(running.map((name) => this.queueOf(name).moveStalledJobsToWait()));
      for (const name of old) await this.forget(this.queueOf(name), now - keepCompletedMs);
      cursor = next;
    } while (cursor !== '0');
  }

  /**
   * Removes completed deliveries, also of a queue that nobody works on any more. BullMQ does so only when another job of
   * the queue is completed.
   */
  private async forget(queue: Queue, before: number): Promise<void> {
    let removed: readonly string[];
    do removed = await queue.cleanJobsByState('completed', before, FORGOTTEN_AT_ONCE);
    while (removed.length === FORGOTTEN_AT_ONCE);
  }
}

/** How often to look: a claim that has run out is to be found soon. */
export const lookEveryMs = (leaseMs: number): number => Math.min(Math.max(Math.ceil(leaseMs / 10), 50), 1_000);
