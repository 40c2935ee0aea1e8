import { atMost } from '../async/time-limits.js';
import type { EngineAttempt } from '../engine/engine-attempt.js';
import { deliveryLost } from '../errors/delivery-errors.js';
import { NO_HEADERS } from '../events/event-headers.js';
import type { AttemptOutcome, HookedAttempt } from '../options/work-hooks.js';
import type { Failures } from '../reports/failures.js';
import { shownId } from './given-id.js';

/** How long whoever tells of an attempt waits for the engine's answer. */
export const PATIENCE_MS = 1_000;

/** Tells who is around an attempt what becomes of the delivery. */
export class AttemptWatch {
  private onDecided: ((outcome: AttemptOutcome, at: number) => void) | undefined;

  constructor(
    private readonly attempt: EngineAttempt,
    private readonly failures: Pick<Failures, 'watching'>,
  ) {}

  get hooked(): HookedAttempt {
    const { attempt, delivery } = this.attempt;
    const { event, callback, headers = NO_HEADERS } = delivery;
    const whenDecided: HookedAttempt['whenDecided'] = (tell) => (this.onDecided = tell);
    return { event, callback, id: shownId(delivery), attempt, headers, whenDecided };
  }

  /** @param settled resolves to whether this attempt still had the claim, if that is known */
  async decided(settled: Promise<boolean | undefined>, outcome: AttemptOutcome): Promise<void> {
    const at = performance.now();
    let wasOurs: boolean | undefined;
    const answered = settled.then((answer) => {
      wasOurs = answer;
    });
    await atMost(PATIENCE_MS, answered);
    const { event, callback } = this.attempt.delivery;
    const final =
      wasOurs === false
        ? { status: 'lost' as const, error: deliveryLost(event, callback, shownId(this.attempt.delivery)) }
        : outcome;
    this.failures.watching(() => this.onDecided?.(final, at));
  }
}
