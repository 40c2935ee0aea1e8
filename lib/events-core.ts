import { Inject, Injectable } from '@nestjs/common';
import { BackgroundWork } from './background-work.js';
import { CallbackRegistry } from './callback-registry.js';
import { EarlyRuns } from './early-runs.js';
import { shutdownTimeout } from './errors.js';
import { type CompleteOptions, EVENTS_SETTINGS } from './events.options.js';
import { Failures } from './failures.js';
import { InFlight } from './in-flight.js';
import { Unanswered } from './unanswered.js';

/** What all runners of one application share. Two applications in one process have two. */
@Injectable()
export class EventsCore {
  readonly failures: Failures;
  readonly inFlight = new InFlight();
  readonly background: BackgroundWork;
  readonly early: EarlyRuns;
  readonly unanswered: Unanswered;
  isClosed = false;
  private readonly abort = new AbortController();
  private patienceMs: number;

  constructor(
    @Inject(CallbackRegistry) readonly registry: CallbackRegistry,
    @Inject(EVENTS_SETTINGS) readonly options: CompleteOptions,
  ) {
    this.patienceMs = options.shutdownTimeout;
    this.failures = new Failures(options.onError);
    this.background = new BackgroundWork(this);
    this.early = new EarlyRuns(() => registry.refresh());
    this.unanswered = new Unanswered(options.strict, this.failures, () => registry.labels);
  }

  /** Aborts when runs are given up. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }

  /**
   * Waits for all runs and background work. What is pending when `shutdownTimeout` is used up, by all calls together,
   * is rejected.
   */
  async drain(): Promise<void> {
    const startedAt = performance.now();
    const timer = setTimeout(() => this.giveUp(), this.patienceMs);
    // What ends may have started something else.
    while (!this.inFlight.isIdle) await this.inFlight.whenIdle();
    clearTimeout(timer);
    this.patienceMs = Math.max(0, this.patienceMs - (performance.now() - startedAt));
  }

  /** From here on `run()` is refused. */
  close(): void {
    this.isClosed = true;
    this.early.close();
  }

  private giveUp(): void {
    const error = shutdownTimeout(this.options.shutdownTimeout, this.inFlight.waitsFor);
    this.failures.log('error', 'Closing', error);
    this.abort.abort(error);
    this.inFlight.giveUp(error);
  }
}
