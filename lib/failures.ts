import { HttpException, Logger } from '@nestjs/common';
import type { Delivery } from './callback.options.js';
import { show } from './errors.js';
import type { EventsOptions } from './events.options.js';
import type { RegisteredCallback, RegisteredEvent } from './registered-event.js';
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
   * Whether the caller of `run()` got the error too, thrown or as an outcome. It is `false` for background and
   * optional callbacks, of which only this report tells.
   */
  readonly reachesCaller: boolean;
}

/** Where every failure is reported: Nest's logger, then `onError`. Reporting itself never throws. */
export class Failures {
  private readonly logger = new Logger('EventRunner');

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
    this.log(isExpected ? 'debug' : 'error', `"${event.label}": ${callback.id} failed`, error);
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
      const told = this.onError({ event: label, callback: id, delivery, arguments: args, error, reachesCaller });
      if (isThenable(told)) Promise.resolve(told).catch(itself);
    } catch (problem) {
      itself(problem);
    }
  }

  /** `run()` rejected before any callback was called. */
  refuse(event: string, error: unknown): void {
    this.log('error', `"${event}" was not run`, error);
  }

  warn(message: string): void {
    this.logger.warn(message);
  }

  log(level: 'debug' | 'error', what: string, error: unknown): void {
    try {
      const isError = error instanceof Error;
      const message = `${what}: ${isError ? error.message || error.name : `it threw ${show(error)}`}`;
      if (level === 'error' && isError) this.logger.error(message, error.stack);
      else this.logger[level](message);
    } catch (problem) {
      process.emitWarning(`${what}, and the logger threw when told: ${show(problem)}`);
    }
  }
}
