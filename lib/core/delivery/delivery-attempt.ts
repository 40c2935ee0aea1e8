import { clearTimeout, LONGEST_TIMER_MS, setTimeout } from '../async/timers.js';
import { atMost } from '../async/at-most.js';
import { type CurrentDelivery, type CurrentEvent, withCurrentEvent } from '../callbacks/current-event.js';
import { requireHandle } from '../transactions/data-layers.js';
import { DeliveryRefused } from './delivery-refused.js';
import { deliveryExhausted, deliveryLost, deliveryTimeout } from '../errors/delivery-errors.js';
import { retryDelay } from '../options/durable.options.js';
import type { EngineAttempt, SqlTransaction } from '../engine/engine.js';
import { checkArguments } from '../events/event-definition.js';
import type { EventsCore } from '../app/shutdown.js';
import type { Pending } from '../async/in-flight.js';
import { isRefusal } from '../nest/guard-refusals.js';
import { LazyAbort } from '../async/lazy-abort.js';
import {
  type DurableSettings,
  perform,
  type RegisteredCallback,
  type RegisteredEvent,
} from '../callbacks/registered-event.js';
import { RunScope } from '../nest/instance-scope.js';
import { readArguments } from './stored-arguments.js';
import { storedError } from '../errors/stored-error.js';
import { transactionForeign } from '../errors/transaction-errors.js';
import type { TransactionHandle } from '../transactions/transaction-handle.js';
import { isInstance } from '../errors/thrown.js';

/** How long a failure waits to be told of. */
const PATIENCE_MS = 1_000;

/** What a durable callback learns of its run. The signal is made when it asks. */
class AttemptedEvent implements CurrentEvent {
  readonly arguments: readonly unknown[];
  readonly #attempt: DeliveryAttempt;

  constructor(
    readonly event: CurrentEvent['event'],
    args: readonly unknown[],
    readonly delivery: CurrentDelivery,
    attempt: DeliveryAttempt,
  ) {
    this.arguments = args;
    this.#attempt = attempt;
    Object.freeze(this);
  }

  get signal(): AbortSignal {
    return this.#attempt.signal;
  }
}

/** One attempt of a callback at a delivery: calls it, and tells the engine what became of that. */
export class DeliveryAttempt implements Pending {
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;
  /** What became of it is decided, whether or not the callback still runs. */
  private isOver = false;
  private isInFlight = true;
  private hasTimedOut = false;
  private args: readonly unknown[] = [];
  private readonly abort = new LazyAbort();
  private disconnect: (() => void) | undefined;

  constructor(
    private readonly core: EventsCore,
    private readonly event: RegisteredEvent,
    private readonly callback: RegisteredCallback,
    private readonly attempt: EngineAttempt,
  ) {}

  get waitsFor(): string {
    return `${this.callback.id} (durable${this.hasTimedOut ? ', past its timeoutMs' : ''})`;
  }

  private get settings(): DurableSettings {
    return this.callback.durable!;
  }

  /**
   * Resolves when the callback has settled, though what became of the delivery may be decided before. Closing waits for that,
   * too: what still runs may need what is closed then.
   */
  async perform(): Promise<void> {
    this.core.inFlight.add(this);
    try {
      await this.go();
    } catch (problem) {
      // An engine does not expect it, and nobody else would hear of it.
      this.core.engine.report(`An attempt of ${this.callback.id} came to no proper end`, problem);
    } finally {
      this.leave();
    }
  }

  private async go(): Promise<void> {
    const timer = this.limit(this.settings.timeoutMs);
    try {
      if (await this.prepare()) await this.call();
      await this.succeed();
    } catch (error) {
      await this.end(error, isInstance(error, DeliveryRefused) || isRefusal(error));
    } finally {
      clearTimeout(timer);
      this.disconnect?.();
    }
  }

  /** Whether the callback is to be called: its arguments are there, and its time is not over. */
  private async prepare(): Promise<boolean> {
    const { settings, attempt } = this;
    try {
      this.args = await this.readArguments();
    } catch (error) {
      await this.end(error, true);
    }
    if (attempt.attempt > settings.retry.attempts) {
      await this.end(deliveryExhausted(this.event.label, this.callback.id, settings.retry.attempts), true);
    }
    return !this.isOver;
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
      completeIn: async (handle) => attempt.completeIn(this.sqlOf(handle)),
    };
    const current = new AttemptedEvent(event.key, args, Object.freeze(delivery), this);
    const scope = event.isScoped ? new RunScope(current, false) : undefined;
    return withCurrentEvent(current, () => perform(callback, event, args, scope, { id, attempt: attempt.attempt }));
  }

  /** That the claim is lost matters from when somebody asks. */
  get signal(): AbortSignal {
    if (!this.disconnect) {
      const { signal } = this.attempt;
      const whenLost = () => this.abort.abort(signal.reason);
      this.disconnect = () => signal.removeEventListener('abort', whenLost);
      if (signal.aborted) whenLost();
      else signal.addEventListener('abort', whenLost);
    }
    return this.abort.signal;
  }

  /** @throws EVENTS_WITH_INVALID, EVENTS_TRANSACTION_FOREIGN */
  private sqlOf(handle: TransactionHandle): SqlTransaction {
    const { kind, sql } = requireHandle(handle, 'completeIn()');
    const { name, takesTransactions } = this.core.engine;
    if (!sql && takesTransactions) throw transactionForeign(this.event.label, name, kind, false);
    return sql ?? (handle as SqlTransaction);
  }

  /** A timer holds 24 days at most; what may take longer gets no limit. */
  private limit(timeoutMs: number): NodeJS.Timeout | undefined {
    if (timeoutMs > LONGEST_TIMER_MS) return undefined;
    return setTimeout(() => {
      this.hasTimedOut = true;
      const error = deliveryTimeout(this.event.label, this.callback.id, timeoutMs, this.settings.concurrency);
      void this.end(error, false);
      this.abort.abort(error);
    }, timeoutMs);
  }

  private async succeed(): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    const hasHeld = await this.core.engine.settle(this.attempt.complete());
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
    const { random } = this.core.options.hooks ?? {};
    const isLast = isFinal || attempt.attempt >= attempts;
    const retryInMs = isLast ? undefined : retryDelay(attempt.attempt, settings.retry, random);
    const stored = storedError(error);
    let hasHeld: boolean | undefined;
    const settled = this.core.engine
      .settle(retryInMs === undefined ? attempt.bury(stored) : attempt.retryIn(retryInMs, stored))
      .then((held) => {
        hasHeld = held;
      });
    // What becomes of the delivery is known when that is written down, which may take as long as an outage.
    await atMost(PATIENCE_MS, settled);
    if (hasHeld === false) this.reportAlone(error);
    else this.report(error, retryInMs);
    await settled;
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
    const { isAborted, reason } = this.abort;
    const isBrokenOff = isAborted && (error === reason || (isInstance(error, Error) && error.name === 'AbortError'));
    if (!isBrokenOff) this.reportAlone(error);
  }

  /** What changes nothing any more about the delivery. */
  private reportAlone(error: unknown): void {
    this.core.failures.report(this.event, this.callback, this.args, error, false);
  }
}
