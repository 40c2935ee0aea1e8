import { HttpException } from '@nestjs/common';
import type { DeliveryMode } from '../options/callback.options.js';
import { EventsError, type EventsErrorCode } from '../errors/events-error.js';
import type { EventsOptions } from '../options/events.options.js';
import type { RegisteredCallback, RegisteredEvent } from '../callbacks/registered-event.js';
import { SafeLogger } from './safe-logger.js';
import { isThenable } from '../async/promises.js';
import { describeThrown, isInstance } from '../errors/thrown.js';

/** One callback's failure, as `onError` is told of it. */
export interface CallbackFailure {
  /** The event's name, or its class's name. */
  readonly event: string;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  readonly delivery: DeliveryMode;
  /** What the callback was called with. */
  readonly arguments: readonly unknown[];
  /** What the callback threw, as it is; or an `EventsError` when it was dropped, or did not finish. */
  readonly error: unknown;
  /**
   * Whether the caller got the error too, thrown or in an outcome of `runSettled()`. Of background callbacks, and of
   * optional ones in `run()`, only this report tells.
   */
  readonly reachesCaller: boolean;
  /** Of a durable one: which attempt failed, at which delivery. */
  readonly attempt?: FailedAttempt;
}

export interface FailedAttempt {
  /** The delivery's id. */
  readonly id: string;
  /** Which attempt this was: 1 for the first. */
  readonly attempt: number;
  /** How many there may be. */
  readonly attempts: number;
  /** When it is tried again, in milliseconds from now; `undefined` when it is not: the delivery is dead. */
  readonly retryInMs?: number;
}

/** Whose messages name event and callback, neither of which has failed. */
const SAY_ALL: readonly EventsErrorCode[] = ['EVENTS_BACKGROUND_FULL', 'EVENTS_DELIVERY_LOST'];

/** Where every failure is reported: Nest's logger, then `onError`. Reporting itself never throws. */
export class Failures {
  readonly logger = new SafeLogger('EventRunner');

  constructor(private readonly onError: EventsOptions['onError']) {}

  /** A callback threw, was dropped, or did not finish. */
  report(
    event: RegisteredEvent,
    callback: RegisteredCallback,
    args: readonly unknown[],
    error: unknown,
    reachesCaller: boolean,
    attempt?: FailedAttempt,
  ): void {
    const isExpected = reachesCaller && isInstance(error, HttpException);
    const saysAll = isInstance(error, EventsError) && SAY_ALL.includes(error.code);
    const level = isExpected ? 'debug' : attempt?.retryInMs !== undefined ? 'warn' : 'error';
    this.log(level, saysAll ? '' : `"${event.label}": ${callback.id} failed${outlook(attempt)}`, error);
    this.tell(event, callback, args, error, reachesCaller, attempt);
  }

  /** The same to `onError` alone, where a line in the log for each would be too many. */
  tell(
    { label }: RegisteredEvent,
    { id, delivery }: RegisteredCallback,
    args: readonly unknown[],
    error: unknown,
    reachesCaller: boolean,
    attempt?: FailedAttempt,
  ): void {
    if (!this.onError) return;
    const itself = (problem: unknown) => this.log('error', 'The onError option of EventsModule threw', problem);
    try {
      const failure = { event: label, callback: id, delivery, arguments: [...args], error, reachesCaller };
      const told = this.onError(attempt ? { ...failure, attempt } : failure);
      if (isThenable(told)) Promise.resolve(told).catch(itself);
    } catch (problem) {
      itself(problem);
    }
  }

  /** `run()` rejected before any callback was called. */
  refuse(event: string, error: unknown): void {
    this.log('error', error instanceof EventsError ? '' : `"${event}" was not run`, error);
  }

  /** @param what happened, if the error's own message does not say */
  log(level: 'debug' | 'warn' | 'error', what: string, error: unknown): void {
    const { message: found, stack } = describeThrown(error);
    const message = what ? `${what}: ${found}` : found;
    if (level === 'error' && stack !== undefined) this.logger.error(message, stack);
    // Nest's loggers take a stack for errors only.
    else if (level === 'warn' && stack !== undefined) this.logger.warn(`${message}\n${stack}`);
    else this.logger[level](message);
  }
}

const outlook = (failed: FailedAttempt | undefined) => {
  if (!failed) return '';
  const { id, attempt, attempts, retryInMs } = failed;
  return retryInMs === undefined
    ? ` for good, at attempt ${attempt} of ${attempts}, so that delivery ${id} is dead`
    : ` at attempt ${attempt} of ${attempts}, with the next in ${(retryInMs / 1000).toFixed(1)} s`;
};
