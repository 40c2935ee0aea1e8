import { HttpException } from '@nestjs/common';
import { EventsError, type EventsErrorCode } from '../errors/events-error.js';
import { explanationOf } from '../errors/explained.js';
import { storedError } from '../errors/stored-error.js';
import { describeThrown, isInstance } from '../errors/thrown.js';
import { isThenable } from '../async/promises.js';
import type { CallbackFailure, FailedAttempt } from '../options/callback-failure.js';
import type { DeliveryMode } from '../options/callback.options.js';
import type { EventsOptions } from '../options/events.options.js';
import { SafeLogger } from './safe-logger.js';

/** A failure of a callback, and whom it concerns. */
export interface Failure {
  readonly event: { readonly label: string };
  readonly callback: { readonly id: string; readonly delivery: DeliveryMode };
  readonly args: readonly unknown[];
  readonly error: unknown;
  /** Whether the caller gets the error, too. @default false */
  readonly reachesCaller?: boolean;
  readonly attempt?: FailedAttempt;
}

/** The codes of errors whose message names event and callback by itself, and neither has failed. */
const SAY_ALL: readonly EventsErrorCode[] = ['EVENTS_DELIVERY_LOST'];

/** The codes of errors that quote nobody else. */
const QUOTE_NOBODY: readonly EventsErrorCode[] = [
  'EVENTS_DELIVERY_TIMEOUT',
  'EVENTS_DELIVERY_LOST',
  'EVENTS_DELIVERY_EXHAUSTED',
  'EVENTS_ENGINE_UNSUITED',
  'EVENTS_CODEC_FAILED',
];

/** Reports every failure: to Nest's logger, then to `onError`. Reporting itself never throws. */
export class Failures {
  readonly logger = new SafeLogger('EventRunner');

  /** How many failures runs have handed over to their callers. */
  handedOver = 0;
  /** The number of each: the log has it, and callbacks of runs around that one may fail with it next. */
  private readonly numbers = new WeakMap<object, number>();

  /** @param hidesTexts whether the log has errors of durable callbacks without their texts */
  constructor(
    private readonly onError: EventsOptions['onError'],
    private readonly hidesTexts = false,
  ) {}

  /**
   * Notes that a run hands an error over to its caller. If that is a callback, it may fail with it in turn. An error may be
   * thrown again, much later and elsewhere: then no run that was there before has been handed it.
   */
  handOver(error: unknown): void {
    this.handedOver++;
    if (isObject(error)) this.numbers.set(error, this.handedOver);
  }

  /**
   * Reports that a callback threw, was dropped, or did not finish. The log has a failure that passes through runs within
   * runs once, and then a line for each.
   *
   * @param since how many failures had been handed over when the callback's run began
   */
  report(failure: Failure, since = Infinity): void {
    const { event, callback, error, reachesCaller = false, attempt } = failure;
    if (this.takeOver(error, since)) {
      const message = this.hides(callback, error) ? withoutText(error) : describeThrown(error).message;
      this.logger.debug(`"${event.label}": ${callback.id} failed: ${message} (told above)`);
      this.tell(failure);
      return;
    }
    const isExpected = reachesCaller && isInstance(error, HttpException);
    const saysAll = isInstance(error, EventsError) && SAY_ALL.includes(error.code);
    const level = isExpected ? 'debug' : attempt?.retryInMs !== undefined ? 'warn' : 'error';
    const what = saysAll ? '' : `"${event.label}": ${callback.id} failed${outlook(attempt)}`;
    if (this.hides(callback, error)) this.logger[level](`${what}: ${withoutText(error)}`);
    else this.log(level, what, error);
    this.tell(failure);
  }

  /** An error as it may be told beside `onError`: by its name and its code alone, where its text is to be kept. */
  shown(callback: Failure['callback'], error: unknown): unknown {
    if (!this.hides(callback, error)) return error;
    const { name, code } = storedError(error);
    const nameless = new Error('Its text is kept from traces, as there is a codec');
    return Object.assign(nameless, { name, stack: undefined, ...(code !== undefined && { code }) });
  }

  /** Whether the log is to have an error without its text. */
  hides({ delivery }: Failure['callback'], error: unknown): boolean {
    const isOurs = isInstance(error, EventsError) && QUOTE_NOBODY.includes(error.code) && error.cause === undefined;
    return this.hidesTexts && delivery === 'durable' && !isOurs;
  }

  /** Whether a run within this one has handed over this error. It has, once. */
  private takeOver(error: unknown, since: number): boolean {
    if (!isObject(error) || (this.numbers.get(error) ?? 0) <= since) return false;
    this.numbers.delete(error);
    // That run has told of a normal answer at debug level only.
    return !isInstance(error, HttpException);
  }

  /** Tells `onError` alone, where a line in the log for each failure would be too many. */
  tell({ event, callback, args, error, reachesCaller = false, attempt }: Failure): void {
    if (!this.onError) return;
    const itself = (problem: unknown) => this.log('error', 'The onError option of EventsModule threw', problem);
    const { id, delivery } = callback;
    try {
      const failure: CallbackFailure = {
        event: event.label,
        callback: id,
        delivery,
        arguments: [...args],
        error,
        reachesCaller,
        ...(attempt && { attempt }),
      };
      const told = this.onError(failure);
      if (isThenable(told)) Promise.resolve(told).catch(itself);
    } catch (problem) {
      itself(problem);
    }
  }

  /** Reports that `run()` rejected before any callback was called. */
  refuse(event: string, error: unknown): void {
    this.log('error', error instanceof EventsError ? '' : `"${event}" was not run`, error);
    this.handOver(error);
  }

  /** Tells of a run in a transaction that failed, for whose end nobody has asked. Its failure itself is in the log already. */
  tellUnawaited(event: string, error: unknown): void {
    const { message } = describeThrown(error);
    this.logger.error(
      `"${event}" was run in a transaction and failed, and nobody awaited that run: ${message.replace(/\.$/, '')}. ` +
        'Await it, so that its failure is seen.',
    );
  }

  /** Warns of a transaction that waits long for the runs in it. */
  warnOfWaiting(events: readonly string[], seconds: number): void {
    this.logger.warn(
      `A transaction has waited ${seconds} s with its commit for ${events.map((event) => `"${event}"`).join(', ')}, ` +
        'which was run in it and not awaited. If that waits for the commit in turn, it waits for ever: ' +
        'run it outside, or after the transaction.',
    );
  }

  /** Tells somebody who only watches, whose failure is nobody else's. */
  watching(tell: () => void): void {
    try {
      tell();
    } catch (problem) {
      this.log('error', 'Whoever watches runs has failed', problem);
    }
  }

  /** @param what happened; empty if the error's own message says it */
  log(level: 'debug' | 'warn' | 'error', what: string, error: unknown): void {
    const { message: found, stack } = describeThrown(error);
    const explanation = explanationOf(error);
    const message = (what ? `${what}: ${found}` : found) + (explanation ? ` (${explanation})` : '');
    if (level === 'error' && stack !== undefined) this.logger.error(message, stack);
    // Nest's loggers take a stack for errors only.
    else if (level === 'warn' && stack !== undefined) this.logger.warn(`${message}\n${stack}`);
    else this.logger[level](message);
  }
}

/** An error by its name and its code alone. */
function withoutText(error: unknown): string {
  const { name, code } = storedError(error);
  return `${name}${code === undefined ? '' : ` ${code}`}, whose text is kept from the log, as there is a codec`;
}

const isObject = (error: unknown): error is object => typeof error === 'object' && error !== null;

const outlook = (failed: FailedAttempt | undefined) => {
  if (!failed) return '';
  const { id, attempt, attempts, retryInMs } = failed;
  return retryInMs === undefined
    ? ` for good, at attempt ${attempt} of ${attempts}, so that delivery ${id} is dead`
    : ` at attempt ${attempt} of ${attempts}, with the next in ${(retryInMs / 1000).toFixed(1)} s`;
};
