import { BeginSlack, type CallbackLimits, type DurableCallback, timers } from '../engine/index.js';
import type { ClaimedJob } from './claimed-job.js';
import { queueName } from './queue-name.js';
import { movesTo } from './queues.js';
import type { ClaimLimits, HeldUpBy } from './statements/limited.js';

const { clearTimeout, LONGEST_TIMER_MS, setTimeout } = timers;

/** How long an instance waits at least and at most, until it asks again for a place that others have taken. */
const ASK_AGAIN_MS = 400;
const ASK_AGAIN_AT_LAST_MS = 500;
/** So many claims in a row go on at once from group to group, though nothing may begin in those that they have looked at. */
const MOST_IN_VAIN = 5;
/** Not all instances ask in the same moment. */
const APART_MS = 15;

/** What a claim was asked for. */
export type Wanted = 'due' | 'in order' | 'suspect';

/** What holds up more that waits, as the claim within limits answers it. */
export interface HeldUp {
  readonly heldUpBy: HeldUpBy;
  /** How long it is until a rate lets more begin. */
  readonly againInMs: number | null;
}

/** Has the deliveries of one callback claimed within its limits, and again when a limit that has held up some may let them begin. */
export class WithinLimits {
  private readonly limits: CallbackLimits;
  private readonly told: Pick<ClaimLimits, 'name' | 'queues'>;
  private readonly slack: BeginSlack | undefined;
  private readonly heldUp = new Map<Wanted, NodeJS.Timeout>();
  /** How many claims in a row have come to no group of which something may begin. */
  private vain = 0;
  private hasStopped = false;

  /**
   * @param statement claims within limits
   * @param wake has this instance claim again what it had claimed in vain
   */
  constructor(
    callback: DurableCallback & { readonly limits: CallbackLimits },
    readonly statement: string,
    private readonly wake: (wanted: Wanted) => void,
  ) {
    this.limits = callback.limits;
    this.slack = this.limits.rate && new BeginSlack(this.limits.rate);
    const queues = [queueName(callback, callback.isOrdered), ...movesTo(callback).map(({ from }) => from)];
    this.told = { name: queueName(callback, false), queues };
  }

  /** How long after it is asked for what is claimed now may begin, in milliseconds. */
  get slackMs(): number {
    return this.slack?.ms ?? Infinity;
  }

  /** The limits, for a claim whose attempts begin within so many milliseconds. */
  limitsFor(slackMs: number): string {
    const { rate } = this.limits;
    return JSON.stringify({ ...this.limits, ...this.told, ...(rate && { rate: { ...rate, slackMs } }) });
  }

  /** Takes note of what a claim was answered, and of how many it has got. */
  answered(wanted: Wanted, heldUp: HeldUp | undefined, count: number): void {
    clearTimeout(this.heldUp.get(wanted));
    this.heldUp.delete(wanted);
    this.vain = heldUp?.heldUpBy === 'steps' && count === 0 ? this.vain + 1 : 0;
    if (!heldUp || this.hasStopped) return;
    const again = () => {
      this.heldUp.delete(wanted);
      this.wake(wanted);
    };
    this.heldUp.set(wanted, setTimeout(again, pauseMs(heldUp, this.vain)).unref());
  }

  /** Takes note that an attempt of this instance has ended: its place may be what the next one waits for. */
  ended(): void {
    for (const wanted of this.heldUp.keys()) this.wake(wanted);
  }

  /** Learns that an attempt is to begin now. Returns whether that is in time; if not, it must be given back. */
  admit({ claimedAt, slackMs }: ClaimedJob): boolean {
    return !this.slack || this.slack.admit(claimedAt, slackMs);
  }

  stop(): void {
    this.hasStopped = true;
    for (const timer of this.heldUp.values()) clearTimeout(timer);
  }
}

function pauseMs({ heldUpBy, againInMs }: HeldUp, vain: number): number {
  if (heldUpBy === 'steps' && vain < MOST_IN_VAIN) return 0;
  const pause = ASK_AGAIN_MS + Math.random() * (ASK_AGAIN_AT_LAST_MS - ASK_AGAIN_MS);
  return againInMs === null ? pause : Math.min(againInMs + Math.random() * APART_MS, LONGEST_TIMER_MS);
}
