import { randomUUID } from 'node:crypto';
import { Duty, type EngineHealth } from '../engine/index.js';
import type { Client } from './connections.js';
import { DISCARDED } from './discarded.js';
import type { CompleteOptions } from './options.js';
import type { Queue } from './queues.js';

/** How many queues one script looks at, about. */
const QUEUES_AT_ONCE = 500;
/** So many queues are looked at each time. Of more, a part of those that have had nothing to do: so that two times see all. */
const QUEUES_EACH_TIME = 100;
const PART_EACH_TIME = 0.55;
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
 * Looks at some queues, beside those that are named. Where something is due, it puts the marker back by which BullMQ tells of it: whoever took it may have
 * died. Answers with the place to go on from, how many queues it has come past, those that have something to do, those where something runs,
 * and those that have something to forget.
 */
const LOOK = `
  local page = redis.call('sscan', KEYS[1], ARGV[2], 'count', ARGV[3])
  local busy, running, old = {}, {}, {}
  local function look(name)
    local queue = ARGV[1] .. ':' .. name .. ':'
    local wait, prioritized, delayed, active = queue .. 'wait', queue .. 'prioritized', queue .. 'delayed', queue .. 'active'
    if redis.call('exists', wait, prioritized, delayed, active) > 0 then
      table.insert(busy, name)
      local isDue = redis.call('exists', wait, prioritized) > 0
      local first = redis.call('zrange', delayed, 0, 0, 'withscores')[2]
      isDue = isDue or (first and tonumber(first) < (tonumber(ARGV[4]) + 1) * 0x1000)
      if isDue and redis.call('hexists', queue .. 'meta', 'paused') == 0 then
        redis.call('zadd', queue .. 'marker', 0, '0')
      end
      if redis.call('exists', active) == 1 then table.insert(running, name) end
    end
    if ARGV[5] ~= '' then
      if redis.call('exists', wait) == 0 then redis.call('del', queue .. '${DISCARDED}') end
      if #redis.call('zrangebyscore', queue .. 'completed', '-inf', ARGV[5], 'limit', 0, 1) > 0 then
        table.insert(old, name)
      end
    end
  end
  for _, name in ipairs(page[2]) do look(name) end
  for at = 6, #ARGV do look(ARGV[at]) end
  return { page[1], #page[2], busy, running, old }`;

type Answer = [next: string, passed: number, busy: string[], running: string[], old: string[]];

/** Has one instance of an application look for what nobody is told of. */
export class Patrol {
  private readonly id = randomUUID();
  private readonly duty: Duty;
  private forgetsFrom = 0;
  /** How many queues there are, as far as it is known. */
  private queues = Infinity;
  /** How far it has come among all queues. */
  private place = { cursor: '0', passed: 0 };
  /** The queues that had something to do the last time. */
  private readonly busy = new Set<string>();

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
    const keptMs = Math.round(everyMs * TURNS_KEPT);
    const take = async () => ({ isHeld: (await client.eval(TAKE, 1, key, this.id, keptMs)) === 1 });
    const leave = async () => void (await client.eval(LEAVE, 1, key, this.id));
    this.duty = new Duty({ take, work: () => this.look(), leave, health, everyMs });
  }

  start(): void {
    this.duty.start();
  }

  stop(): Promise<void> {
    return this.duty.stop();
  }

  /** Looks at the queues that had something to do the last time, and at some others; when it is time to forget, at all. */
  private async look(): Promise<void> {
    const now = Date.now();
    const forgets = now >= this.forgetsFrom;
    if (forgets) {
      this.forgetsFrom = now + Math.min(this.options.keepCompletedMs, FORGETTING_MS);
      this.place = { cursor: '0', passed: 0 };
    }
    const wanted = forgets ? Infinity : Math.max(QUEUES_EACH_TIME, Math.ceil(this.queues * PART_EACH_TIME));
    const named = [...this.busy];
    this.busy.clear();
    for (let left = wanted; left > 0 || named.length > 0;) {
      const count = Math.max(1, Math.min(left, QUEUES_AT_ONCE));
      const passed = await this.lookAt(count, named.splice(0, QUEUES_AT_ONCE), now, forgets);
      left = this.place.cursor === '0' ? 0 : left - passed;
    }
  }

  /** Goes past some queues. Resolves to their number. */
  private async lookAt(count: number, named: readonly string[], now: number, forgets: boolean): Promise<number> {
    const { prefix, keepCompletedMs } = this.options;
    const before = forgets ? now - keepCompletedMs : '';
    const params = [prefix, this.place.cursor, count, now, before, ...named];
    const answer = (await this.client.eval(LOOK, 1, this.names, ...params)) as Answer;
    const [cursor, passed, busy, running, old] = answer;
    for (const name of busy) this.busy.add(name);
    this.place = { cursor, passed: this.place.passed + passed };
    if (cursor === '0') {
      this.queues = this.place.passed;
      this.place = { cursor, passed: 0 };
    }
    // Makes the jobs of instances that have died wait again. BullMQ notes a job at one look, and takes it back at the next.
    await Promise.all([...new Set(running)].map((name) => this.queueOf(name).moveStalledJobsToWait()));
    for (const name of new Set(old)) await this.forget(this.queueOf(name), now - keepCompletedMs);
    return passed;
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
