import { randomUUID } from 'node:crypto';
import { addressOf, Duty, type EngineHealth, type EngineHost, retentionReport, type Term } from '../engine/index.js';
import type { Client } from './connections.js';
import { DISCARDED } from './discarded.js';
import type { CompleteOptions } from './options.js';
import { PAUSED_SINCE } from './pauses.js';
import type { QueueNames } from './queue-names.js';
import type { Queue } from './queues.js';

/** How many queues one script looks at, about. */
const QUEUES_AT_ONCE = 500;
/** How many completed jobs of a queue one script removes. */
const FORGOTTEN_AT_ONCE = 250;
/** The longest time between two removals of completed deliveries. */
const FORGETTING_MS = 60_000;
/** After how many turns an instance names its queues again, though some are named: they may be others. */
const TURNS_PER_NAMING = 10;
/** How late an instance may be to take the duty again without losing it, at most. */
const LATE_MS = 400;
/** How long after the duty may have been lost another instance asks for it. */
const MARGIN_MS = 20;

/**
 * Answers how long another instance still has it, in milliseconds; 0 if this one does; and whether anybody has named a queue. Renews
 * it without setting it: where the memory is full, Redis refuses that.
 */
const TAKE = `
  local isNamed = redis.call('exists', KEYS[2])
  local holder = redis.call('get', KEYS[1])
  if holder == ARGV[1] then redis.call('pexpire', KEYS[1], ARGV[2])
  elseif holder then return { math.max(redis.call('pttl', KEYS[1]), 1), isNamed }
  else redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) end
  return { 0, isNamed }`;

const LEAVE = `if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end`;

/**
 * Looks at some queues. Where something is due, it puts the marker back by which BullMQ tells of it: whoever took it may have
 * died. Of one that a dashboard has resumed it forgets since when it was paused.
 * Answers with the place to go on from, the queues where something runs, and those that have something to forget: completed long ago, or dead for long.
 */
const LOOK = `
  local page = redis.call('sscan', KEYS[1], ARGV[2], 'count', ARGV[3])
  local running, old, dead = {}, {}, {}
  for _, name in ipairs(page[2]) do
    local queue = ARGV[1] .. ':' .. name .. ':'
    local wait, prioritized, delayed, active = queue .. 'wait', queue .. 'prioritized', queue .. 'delayed', queue .. 'active'
    if redis.call('exists', wait, prioritized, delayed, active) > 0 then
      local isDue = redis.call('exists', wait, prioritized) > 0
      local first = redis.call('zrange', delayed, 0, 0, 'withscores')[2]
      isDue = isDue or (first and tonumber(first) < (tonumber(ARGV[4]) + 1) * 0x1000)
      if isDue then
        local paused, since = unpack(redis.call('hmget', queue .. 'meta', 'paused', '${PAUSED_SINCE}'))
        if not paused then redis.call('zadd', queue .. 'marker', 0, '0') end
        if since and not paused then redis.call('hdel', queue .. 'meta', '${PAUSED_SINCE}') end
      end
      if redis.call('exists', active) == 1 then table.insert(running, name) end
    end
    if ARGV[5] ~= '' then
      if redis.call('exists', wait) == 0 then redis.call('del', queue .. '${DISCARDED}') end
      if #redis.call('zrangebyscore', queue .. 'completed', '-inf', ARGV[5], 'limit', 0, 1) > 0 then
        table.insert(old, name)
      end
      if ARGV[6] ~= '' and #redis.call('zrangebyscore', queue .. 'failed', '-inf', ARGV[6], 'limit', 0, 1) > 0 then
        table.insert(dead, name)
      end
    end
  end
  return { page[1], running, old, dead }`;

type Answer = [next: string, running: string[], old: string[], dead: string[]];

/** The things that a {@link Patrol} needs. */
export interface PatrolOptions extends CompleteOptions {
  readonly client: Client;
  /** Told again from time to time, as a server that has lost all of it has lost that, too. */
  readonly names: QueueNames;
  readonly queueOf: (name: string) => Queue;
  readonly health: EngineHealth;
  readonly host: EngineHost;
}

/** Has one instance of an application look for what nobody is told of. */
export class Patrol {
  private readonly id = randomUUID();
  private readonly duty: Duty;
  private forgetsFrom = 0;
  private turns = 1;

  constructor(private readonly options: PatrolOptions) {
    const { client, names, leaseMs, prefix, health } = options;
    const key = `${prefix}:duty`;
    const everyMs = lookEveryMs(leaseMs);
    const keptMs = Math.round(everyMs + Math.min(everyMs, LATE_MS));
    const take = async (): Promise<Term> => {
      const [leftMs, isNamed] = (await client.eval(TAKE, 2, key, names.key, this.id, keptMs)) as [number, number];
      // Where the memory is full, Redis refuses that, and it is done another time.
      if (isNamed === 0 || this.turns++ % TURNS_PER_NAMING === 0) await names.tell().catch(() => {});
      return leftMs === 0 ? { isHeld: true } : { isHeld: false, askInMs: leftMs + MARGIN_MS };
    };
    const leave = async () => void (await client.eval(LEAVE, 1, key, this.id));
    this.duty = new Duty({ take, work: () => this.look(), leave, health, everyMs });
  }

  get hasDuty(): boolean {
    return this.duty.isHeld;
  }

  start(): void {
    this.duty.start();
  }

  stop(): Promise<void> {
    return this.duty.stop();
  }

  private async look(): Promise<void> {
    const now = Date.now();
    const { prefix, keepCompletedMs, keepDeadMs } = this.options;
    const forgets = now >= this.forgetsFrom;
    if (forgets) this.forgetsFrom = now + Math.min(keepCompletedMs, keepDeadMs, FORGETTING_MS);
    const before = forgets ? now - keepCompletedMs : '';
    const deadBefore = forgets && keepDeadMs < Infinity ? now - keepDeadMs : '';
    let cursor = '0';
    do {
      const answer = await this.options.client.eval(
        LOOK,
        1,
        this.options.names.key,
        prefix,
        cursor,
        QUEUES_AT_ONCE,
        now,
        before,
        deadBefore,
      );
      const [next, running, old, dead] = answer as Answer;
      // Makes the jobs of instances that have died wait again. BullMQ notes a job at one look, and takes it back at the next.
      await Promise.all(running.map((name) => this.options.queueOf(name).moveStalledJobsToWait()));
      for (const name of old) await this.forget('completed', name, now - keepCompletedMs);
      for (const name of dead) await this.removeDead(name, now - keepDeadMs);
      cursor = next;
    } while (cursor !== '0');
  }

  /**
   * Removes deliveries that are over, also of a queue that nobody works on any more. BullMQ does so only when another job of
   * the queue is completed.
   */
  private async forget(state: 'completed' | 'failed', name: string, before: number): Promise<number> {
    const queue = this.options.queueOf(name);
    let count = 0;
    for (let removed: readonly string[]; ;) {
      removed = await queue.cleanJobsByState(state, before, FORGOTTEN_AT_ONCE);
      count += removed.length;
      if (removed.length < FORGOTTEN_AT_ONCE) return count;
    }
  }

  /** Removes what has been dead for long, and says so. */
  private async removeDead(name: string, before: number): Promise<void> {
    const address = addressOf(name);
    const count = address ? await this.forget('failed', name, before) : 0;
    if (address && count > 0) this.options.host.log(retentionReport(this.options.keepDeadMs, [{ ...address, count }]));
  }
}

/** How often to look: a claim that has run out is to be found soon, and the duty is to pass on within three seconds. */
const lookEveryMs = (leaseMs: number): number => Math.min(Math.max(Math.ceil(leaseMs / 5), 50), 2_400);
