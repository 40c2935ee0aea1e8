import type { RegisteredDurable, RegisteredEvent } from '../callbacks/registered-event.js';
import type { EngineAttempt } from '../engine/engine-attempt.js';
import { isInstance } from '../errors/thrown.js';
import type { Failures } from '../reports/failures.js';
import type { AttemptSignal } from './attempted-event.js';
import { shownId } from './given-id.js';

/** Tells of what goes wrong with one attempt, and of the attempt that comes after it. */
export class AttemptReports {
  /** The arguments of the callback, once they are known. */
  args: readonly unknown[] = [];

  constructor(
    private readonly failures: Failures,
    private readonly event: RegisteredEvent,
    private readonly callback: RegisteredDurable,
    private readonly attempt: EngineAttempt,
  ) {}

  /** The delivery's id, as the application knows it. */
  get id(): string {
    return shownId(this.attempt.delivery);
  }

  /** @param retryInMs `undefined` if the delivery is dead */
  failed(error: unknown, retryInMs: number | undefined): void {
    const { event, callback, args, id } = this;
    const { attempt, charged } = this.attempt;
    const attempts = callback.durable.retry.attempts + attempt - charged;
    const isDead = retryInMs === undefined;
    // One that was claimed after all attempts had begun is none: the last has failed.
    const failed = { id, attempt: Math.min(attempt, attempts), attempts, isDead, retryInMs };
    this.failures.report({ event, callback, args, error, attempt: failed });
  }

  /** Tells of an error that changes nothing any more about the delivery. */
  alone(error: unknown): void {
    const { event, callback, args } = this;
    this.failures.report({ event, callback, args, error });
  }

  /** Tells of an error that came after the time was over, or the attempt was given up, unless it only says that. */
  late(error: unknown, { isAborted, reason }: AttemptSignal): void {
    const isBrokenOff = isAborted && (error === reason || (isInstance(error, Error) && error.name === 'AbortError'));
    if (!isBrokenOff) this.alone(error);
  }

  postponed(ms: number, why: string): void {
    const reason = this.failures.hides(this.callback, undefined) ? '' : `: ${why}`;
    this.failures.logger.debug(
      `"${this.event.label}": ${this.callback.id} has postponed delivery ${this.id} by ${ms} ms${reason}`,
    );
  }
}
