import { BeginSlack, type CallbackLimits } from '../engine/index.js';
import type { Client } from './connections.js';
import { HAND_OUT_WITHIN, NO_PLACE } from './hand-out-within.js';
import type { Answer, TakenJob } from './job-attempt.js';
import { type Queue, readHandedOut } from './queues.js';

/** How long an instance waits at least and at most, until it asks again for a place that others have taken. */
const ASK_AGAIN_MS = 400;
const ASK_AGAIN_AT_LAST_MS = 500;
/** Not all instances ask in the same moment. */
const APART_MS = 15;
/** The key, beside a queue, of what the rate of its callback has let begin lately: when that was, and until when, how many. */
const PERMITS = 'permits';

/** Takes the jobs of a callback within its limits, whichever of its queues they are in. */
export class WithinLimits {
  private readonly slack: BeginSlack | undefined;
  private readonly permits: string;
  private readonly actives: readonly string[];

  /** @param queues all queues of the callback; the first is that of its own name */
  constructor(
    private readonly limits: CallbackLimits,
    queues: readonly Queue[],
    private readonly client: Client,
    private readonly leaseMs: number,
  ) {
    this.slack = limits.rate && new BeginSlack(limits.rate);
    this.permits = queues[0].toKey(PERMITS);
    this.actives = queues.map((queue) => queue.keys.active);
  }

  /** How long after it is asked for a job that is taken now may begin, in milliseconds. */
  get slackMs(): number {
    return this.slack?.ms ?? Infinity;
  }

  /** Takes a job of a queue, if there is one and the limits let it begin. */
  async take({ keys }: Queue, token: string, slackMs: number): Promise<Answer> {
    const { wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, marker } = keys;
    const ofBull = [wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, marker];
    const all = [...ofBull, this.permits, ...this.actives];
    const { rate, running = '' } = this.limits;
    const ofRate = rate ? [rate.limit, rate.perMs, slackMs] : ['', '', ''];
    const values = [keys[''], Date.now(), token, this.leaseMs, ...ofRate, running];
    const commands = this.client as unknown as Record<string, (...args: unknown[]) => Promise<unknown[] | null>>;
    const answer = await commands[HAND_OUT_WITHIN](all.length, ...all, ...values);
    return [...(await readHandedOut(answer)), answer?.[4]];
  }

  /** When to ask again, if the answer is that limits hold up a job: in milliseconds from now. */
  againInMs(answer: Answer): number | undefined {
    const inMs = answer?.[4] as number | undefined;
    if (inMs === undefined) return undefined;
    if (inMs === NO_PLACE) return ASK_AGAIN_MS + Math.random() * (ASK_AGAIN_AT_LAST_MS - ASK_AGAIN_MS);
    return inMs + Math.random() * APART_MS;
  }

  /** Learns that a job is to begin now. Returns whether that is in time; if not, it must be given back. */
  admit({ takenAt, slackMs }: TakenJob): boolean {
    return !this.slack || this.slack.admit(takenAt, slackMs);
  }
}
