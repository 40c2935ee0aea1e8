import type { InFlight, Pending } from '../async/in-flight.js';
import { atMost } from '../async/time-limits.js';
import { clearTimeout, LONGEST_TIMER_MS, setTimeout } from '../async/timers.js';
import { callAndTrace } from '../callbacks/call.js';
import { type CurrentEvent, withCurrentEvent } from '../callbacks/current-event.js';
import type { RegisteredDurable, RegisteredEvent } from '../callbacks/registered-event.js';
import type { EngineAttempt } from '../engine/engine-attempt.js';
import {
  deliveryExhausted,
  deliveryLate,
  deliveryLost,
  deliveryPostponed,
  deliveryTimeout,
  engineLacks,
} from '../errors/delivery-errors.js';
import { isCodecFailure } from '../errors/codec-errors.js';
import { storedError } from '../errors/stored-error.js';
import { isInstance } from '../errors/thrown.js';
import { checkArguments } from '../events/event-definition.js';
import { NO_HEADERS } from '../events/event-headers.js';
import { isRefusal } from '../nest/guard-refusals.js';
import { InstanceScope } from '../nest/instance-scope.js';
import type { Propagator } from '../options/propagator.options.js';
import { retryDelay } from '../options/durable.options.js';
import type { AttemptOutcome, WorkHooks } from '../options/work-hooks.js';
import type { Failures } from '../reports/failures.js';
import { AttemptReports } from './attempt-reports.js';
import { AttemptWatch, PATIENCE_MS } from './attempt-watch.js';
import { AttemptedEvent, AttemptSignal } from './attempted-event.js';
import type { Coding } from './coding.js';
import { Completing } from './completing.js';
import { DeliveryPostponed, LEAST_POSTPONED_MS } from './delivery-postponed.js';
import { DeliveryRefused } from './delivery-refused.js';
import { Overdue } from './overdue.js';
import { inPropagated } from './propagation.js';
import type { RunningEngine } from './running-engine.js';
import type { Settlements } from './settlements.js';
import { readArguments } from './stored-arguments.js';

/** The parts of an application that an attempt works with. */
export interface AttemptHost {
  readonly inFlight: InFlight;
  readonly failures: Failures;
  readonly coding: Coding;
  readonly settlements: Settlements;
  readonly engine: Pick<RunningEngine, 'name' | 'takesTransactions' | 'report'>;
  readonly propagators: readonly Propagator[];
  readonly around: WorkHooks;
  /** Returns a number from 0 to 1, which replaces chance in the delays of retries. */
  readonly random?: () => number;
}

/**
 * `'running'`: nobody has decided what becomes of the delivery. `'settled'`: that is decided. `'timed out'`: so is that,
 * though the callback still runs. `'left'`: closing waits for the attempt no more.
 */
type State = 'running' | 'settled' | 'timed out' | 'left';

/** One attempt of a callback at a delivery: calls it, and tells the engine what became of that. */
export class DeliveryAttempt implements Pending {
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;
  private state: State = 'running';
  private readonly watch: AttemptWatch | undefined;
  private readonly signal: AttemptSignal;
  private readonly overdue: Overdue;
  private readonly reports: AttemptReports;

  constructor(
    private readonly host: AttemptHost,
    private readonly event: RegisteredEvent,
    private readonly callback: RegisteredDurable,
    private readonly attempt: EngineAttempt,
  ) {
    this.reports = new AttemptReports(host.failures, event, callback, attempt);
    this.signal = new AttemptSignal(() => attempt.signal);
    this.watch = host.around.attempt && new AttemptWatch(attempt, host.failures);
    this.overdue = new Overdue(host.failures.logger, event, callback, this.reports.id);
  }

  get waitsFor(): string {
    return `${this.callback.id} (durable${this.state === 'timed out' ? ', past its timeoutMs' : ''})`;
  }

  /**
   * Makes the attempt. Resolves when the callback has settled, though what becomes of the delivery may be decided before.
   * Closing waits for that, too: what still runs may need what is closed then.
   */
  async perform(): Promise<void> {
    const { inFlight, engine } = this.host;
    inFlight.add(this);
    try {
      const { attempt: around } = this.host.around;
      await (around && this.watch ? around(this.watch.hooked, () => this.inContext()) : this.inContext());
    } catch (problem) {
      // An engine does not expect it, and nobody else would hear of it.
      engine.report(`An attempt of ${this.callback.id} came to no proper end`, problem);
    } finally {
      this.leave();
    }
  }

  /** Makes the attempt in the async context that the application has propagated. */
  private async inContext(): Promise<void> {
    const { headers = NO_HEADERS } = this.attempt.delivery;
    try {
      await inPropagated(this.host.propagators, { headers }, () => this.callInTime());
    } catch (error) {
      await this.end(error, false);
    }
  }

  private async callInTime(): Promise<void> {
    const timer = this.limit(this.callback.durable.timeoutMs);
    try {
      if (await this.prepare()) await this.call();
      await this.succeed();
    } catch (error) {
      if (isInstance(error, DeliveryPostponed) && this.state === 'running') await this.postpone(error);
      else await this.end(error, isInstance(error, DeliveryRefused) || isRefusal(error));
    } finally {
      clearTimeout(timer);
      this.signal.end();
    }
  }

  /** Whether the callback is to be called: its arguments are there, and nothing is decided yet. */
  private async prepare(): Promise<boolean> {
    const { attempts } = this.callback.durable.retry;
    try {
      this.reports.args = await this.readArguments();
    } catch (error) {
      // Another instance may have the codec, or its keys.
      await this.end(error, !isCodecFailure(error));
    }
    if (this.attempt.charged > attempts) {
      await this.end(deliveryExhausted(this.event.label, this.callback.id, attempts), true);
    }
    return this.state === 'running';
  }

  /** Gives it up at shutdown: another instance is to take it at once. */
  fail(error: unknown): void {
    if (this.state === 'running') void this.settle(this.attempt.release(), { status: 'released' });
    this.leave();
    this.signal.abort(error);
  }

  /**
   * Reads the arguments. They are stored as they were passed to `run()`, so that the schemas hold here as they do there.
   */
  private async readArguments(): Promise<readonly unknown[]> {
    const { key, label, definition } = this.event;
    const stored = this.host.coding.decodeArguments(label, this.attempt.delivery.arguments);
    const args = readArguments(label, stored, typeof key === 'function' ? key : undefined);
    return definition ? checkArguments(definition, args) : args;
  }

  private async call(): Promise<unknown> {
    const { event, callback, attempt, host } = this;
    const { args, id } = this.reports;
    const completing = new Completing(host.engine, event, callback, attempt);
    const completeIn: Completing['in'] = (handle) => completing.in(handle);
    const current: CurrentEvent = new AttemptedEvent(event.key, args, attempt, completeIn, this.signal);
    const scope = event.isScoped ? new InstanceScope(current, false) : undefined;
    return withCurrentEvent(current, () =>
      callAndTrace(callback, event, args, scope, { id, attempt: attempt.attempt }),
    );
  }

  /** A timer holds 24 days at most. A longer time has no limit. */
  private limit(timeoutMs: number): NodeJS.Timeout | undefined {
    if (timeoutMs > LONGEST_TIMER_MS) return undefined;
    return setTimeout(() => {
      if (this.state !== 'running') return;
      const { id, durable } = this.callback;
      const error = deliveryTimeout(this.event.label, id, timeoutMs, durable.concurrency);
      void this.settleFailed(error, false, 'timed out');
      this.signal.abort(error);
      this.overdue.begin(timeoutMs);
    }, timeoutMs);
  }

  private async succeed(): Promise<void> {
    const { event, callback, attempt } = this;
    if (this.state === 'timed out') {
      this.reports.alone(deliveryLate(event.label, callback.id, this.reports.id, callback.durable.timeoutMs));
    }
    if (this.state !== 'running') return;
    this.state = 'settled';
    const wasOurs = await this.settle(attempt.complete(), { status: 'completed' });
    if (wasOurs === false) this.reports.alone(deliveryLost(event.label, callback.id, this.reports.id));
  }

  /** Has closing wait until the engine has written down how it ended. Answers whether it was still ours, if that is known. */
  private settle(settling: Promise<boolean>, outcome: AttemptOutcome): Promise<boolean | undefined> {
    const settled = this.host.settlements.add(settling);
    void this.watch?.decided(settled, outcome);
    return settled;
  }

  /** Has the delivery wait as long as its callback says, unless that is longer than it may wait in all. */
  private async postpone(asked: DeliveryPostponed): Promise<void> {
    const { attempt, event, callback, host, reports } = this;
    const most = callback.durable.retry.maxPostponedMs;
    const ms = Math.max(asked.ms, LEAST_POSTPONED_MS);
    if (!attempt.postpone) return this.end(engineLacks(host.engine.name, 'DeliveryPostponed'), false);
    if ((attempt.postponedMs ?? 0) + ms > most) {
      return this.end(deliveryPostponed(event.label, callback.id, reports.id, most, asked), false);
    }
    this.state = 'settled';
    const wasOurs = await this.settle(attempt.postpone(ms), { status: 'postponed', ms });
    return wasOurs === false ? reports.alone(asked) : reports.postponed(ms, asked.message);
  }

  private async end(error: unknown, isFinal: boolean): Promise<void> {
    if (this.state === 'running') await this.settleFailed(error, isFinal, 'settled');
    else this.reports.late(error, this.signal);
  }

  private async settleFailed(error: unknown, isFinal: boolean, state: State): Promise<void> {
    this.state = state;
    const { attempt, host } = this;
    const { retry } = this.callback.durable;
    const isLast = isFinal || attempt.charged >= retry.attempts;
    const retryInMs = isLast ? undefined : retryDelay(attempt.charged, retry, host.random);
    const stored = host.coding.encodeError(storedError(error));
    let wasOurs: boolean | undefined;
    const settling = retryInMs === undefined ? attempt.bury(stored) : attempt.retryIn(retryInMs, stored);
    const settled = this.settle(settling, {
      status: 'failed',
      error: host.failures.shown(this.callback, error),
      retryInMs,
    }).then((answer) => {
      wasOurs = answer;
    });
    // The report says what becomes of the delivery. Writing that down may take as long as an outage.
    await atMost(PATIENCE_MS, settled);
    if (wasOurs === false) this.reports.alone(error);
    else this.reports.failed(error, retryInMs);
    await settled;
  }

  private leave(): void {
    if (this.state === 'left') return;
    this.state = 'left';
    this.overdue.end();
    this.host.inFlight.remove(this);
  }
}
