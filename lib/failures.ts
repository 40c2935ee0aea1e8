import { HttpException } from '@nestjs/common';
import type { Delivery } from './callback.options.js';
import { inspect } from 'node:util';
import { EventsError, show } from './errors.js';
import type { EventsOptions } from './events.options.js';
import type { RegisteredCallback, RegisteredEvent } from './registered-event.js';
import { SafeLogger } from './safe-logger.js';
import { isThenable } from './thenable.js';

/** One callback's failure, as `onError` is told of it. */
export interface CallbackFailure {
  /** The event's name, or its class's name. */
  readonly event: string;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  readonly delivery: Delivery;
  /** What the callback was called with. */
  readonly arguments: readonly unknown[];
  /** What the callback threw, as it is; or an `EventsError` when it was dropped, or did not finish. */
  readonly error: unknown;
  /**
   * Whether the caller got the error too, thrown or in an outcome of `runSettled()`. Of background callbacks, and of
   * optional ones in `run()`, only this report tells.
   */
  readonly reachesCaller: boolean;
}

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
  ): void {
    const isExpected = reachesCaller && error instanceof HttpException;
    const isOurs = error instanceof EventsError && error.code === 'EVENTS_BACKGROUND_FULL';
    this.log(isExpected ? 'debug' : 'error', isOurs ? '' : `"${event.label}": ${callback.id} failed`, error);
    this.tell(event, callback, args, error, reachesCaller);
  }

  /** The same to `onError` alone, where a line in the log for each would be too many. */
  tell(
    { label }: RegisteredEvent,
    { id, delivery }: RegisteredCallback,
    args: readonly unknown[],
    error: unknown,
    reachesCaller: boolean,
  ): void {
    if (!this.onError) return;
    const itself = (problem: unknown) => this.log('error', 'The onError option of EventsModule threw', problem);
    try {
      const told = this.onError({ event: label, callback: id, delivery, arguments: [...args], error, reachesCaller });
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
  log(level: 'debug' | 'error', what: string, error: unknown): void {
    const isError = error instanceof Error;
    const found = isError ? error.message || error.name : `it threw ${show(error)}`;
    const message = what ? `${what}: ${found}` : found;
    if (level === 'error' && isError) this.logger.error(message, 'cause' in error ? inspect(error) : error.stack);
    else this.logger[level](message);
  }
}
