// Not the global ones: a user's fake timers must not keep an attempt from its timeout.
import { clearTimeout, setTimeout } from 'node:timers';
import { setMaxListeners } from 'node:events';
import { type CurrentDelivery, type CurrentEvent, withCurrentEvent } from './current-event.js';
import { DeliveryRefused } from './delivery-refused.js';
import { deliveryExhausted, deliveryLost, deliveryTimeout } from './durable-errors.js';
import { retryDelay } from './durable.options.js';
import type { EngineAttempt } from './engine.js';
import { checkArguments } from './event-definition.js';
import type { EventsCore } from './events-core.js';
import type { Pending } from './in-flight.js';
import { isRefusal } from './guard-refusals.js';
import { type DurableSettings, perform, type RegisteredCallback, type RegisteredEvent } from './registered-event.js';
import { RunScope } from './run-scope.js';
import { readArguments } from './stored-arguments.js';
import { storedError } from './stored-error.js';

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** One attempt of a callback at a delivery: calls it, and tells the engine what became of that. */
export class DeliveryAttempt implements Pending {
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;
  /** What became of it is decided, whether or not the callback still runs. */
  private isOver = false;
  private isInFlight = true;
  private args: readonly unknown[] = [];
  private readonly abort = new AbortController();

  constructor(
    private readonly core: EventsCore,
    private readonly event: RegisteredEvent,
    private readonly callback: RegisteredCallback,
    private readonly attempt: EngineAttempt,
  ) {
    setMaxListeners(0, this.abort.signal);
  }

  get waitsFor(): string {
    return `${this.callback.id} (durable)`;
  }

  private get settings(): DurableSettings {
    return this.callback.durable!;
  }

  /** Resolves when the callback has settled, though what became of the delivery may be decided before. */
  async perform(): Promise<void> {
    this.core.inFlight.add(this);
    const { settings, attempt } = this;
    try {
      this.args = await this.readArguments();
    } catch (error) {
      return this.end(error, true);
    }
    if (attempt.attempt > settings.retry.attempts) {
      return this.end(deliveryExhausted(this.event.label, this.callback.id, settings.retry.attempts), true);
    }
    const whenLost = () => this.abort.abort(attempt.signal.reason);
    attempt.signal.addEventListener('abort', whenLost);
    const timer = this.limit(settings.timeoutMs);
    try {
      await this.call();
      await this.succeed();
    } catch (error) {
      await this.end(error, error instanceof DeliveryRefused || isRefusal(error));
    } finally {
      clearTimeout(timer);
      attempt.signal.removeEventListener('abort', whenLost);
    }
  }

  /** Given up at shutdown: somebody else is to take it, at once. */
  fail(error: unknown): void {
    if (!this.isOver) void this.core.engine.settle(this.attempt.release());
    this.leave();
    this.abort.abort(error);
  }

  /** Stored was what was passed to `run()`, so that the schemas hold here as they do there. */
  private async readArguments(): Promise<readonly unknown[]> {
    const { key, label, definition } = this.event;
    const args = readArguments(label, this.attempt.delivery.arguments, typeof key === 'function' ? key : undefined);
    return definition ? checkArguments(definition, args) : args;
  }

  private async call(): Promise<unknown> {
    const { event, callback, args, attempt } = this;
    const { id, key } = attempt.delivery;
    const delivery: CurrentDelivery = {
      id,
      attempt: attempt.attempt,
      ...(key !== undefined && { key }),
      completeIn: (transaction) => attempt.completeIn(transaction),
    };
    const current: CurrentEvent = Object.freeze({
      event: event.key,
      arguments: args,
      signal: this.abort.signal,
      delivery: Object.freeze(delivery),
    });
    const scope = event.isScoped ? new RunScope(current, false) : undefined;
    return withCurrentEvent(current, () => perform(callback, event, args, scope, { id, attempt: attempt.attempt }));
  }

  /** A timer holds 24 days at most; what may take longer gets no limit. */
  private limit(timeoutMs: number): NodeJS.Timeout | undefined {
    if (timeoutMs > LONGEST_TIMER_MS) return undefined;
    return setTimeout(() => {
      const error = deliveryTimeout(this.event.label, this.callback.id, timeoutMs, this.settings.concurrency);
      void this.end(error, false);
      this.abort.abort(error);
    }, timeoutMs);
  }

  private async succeed(): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    const hasHeld = await this.core.engine.settle(this.attempt.complete());
    this.leave();
    if (hasHeld === false) this.reportAlone(deliveryLost(this.event.label, this.callback.id, this.attempt.delivery.id));
  }

  private async end(error: unknown, isFinal: boolean): Promise<void> {
    if (this.isOver) {
      this.reportLate(error);
      return;
    }
    this.isOver = true;
    const { attempt, settings } = this;
    const { attempts } = settings.retry;
    const retryInMs = isFinal || attempt.attempt >= attempts ? undefined : retryDelay(attempt.attempt, settings.retry);
    this.report(error, retryInMs);
    const stored = storedError(error);
    await this.core.engine.settle(retryInMs === undefined ? attempt.bury(stored) : attempt.retryIn(retryInMs, stored));
    this.leave();
  }

  private leave(): void {
    this.isOver = true;
    if (!this.isInFlight) return;
    this.isInFlight = false;
    this.core.inFlight.remove(this);
  }

  private report(error: unknown, retryInMs?: number): void {
    const { id } = this.attempt.delivery;
    const { attempt } = this.attempt;
    this.core.failures.report(this.event, this.callback, this.args, error, false, {
      id,
      attempt,
      attempts: this.settings.retry.attempts,
      retryInMs,
    });
  }

  /** After its time was over, or the application had given it up: that it was broken off then is no news. */
  private reportLate(error: unknown): void {
    const { aborted, reason } = this.abort.signal;
    const isBrokenOff = aborted && (error === reason || (error instanceof Error && error.name === 'AbortError'));
    if (!isBrokenOff) this.reportAlone(error);
  }

  /** What changes nothing any more about the delivery. */
  private reportAlone(error: unknown): void {
    this.core.failures.report(this.event, this.callback, this.args, error, false);
  }
}
