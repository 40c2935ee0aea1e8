import { setMaxListeners } from 'node:events';
import { Inject, Injectable } from '@nestjs/common';
import { BackgroundWork } from '../runs/background-work.js';
import { CallbackRegistry } from '../callbacks/callback-registry.js';
import { EarlyRuns } from '../runs/early-runs.js';
import { EngineLifecycle } from '../delivery/running-engine.js';
import { shutdownTimeout } from '../errors/run-errors.js';
import { type CompleteOptions, EVENTS_SETTINGS } from '../options/events.options.js';
import { Failures } from '../reports/failures.js';
import { InFlight } from '../async/in-flight.js';
import { OutsideCalls } from '../reports/outside-calls.js';
import { Unanswered } from '../runs/unanswered.js';

/** Somebody who pressed Ctrl-C wonders. */
const NOTICE_AFTER_MS = 1_000;

// Work that is given up may start other work, which gets one round, and so on, but not for ever.
const ROUND_MS = 10;
const MOST_ROUNDS = 100;

/** What all runners of one application share. Two applications in one process have two. */
@Injectable()
export class EventsCore {
  readonly failures: Failures;
  readonly inFlight = new InFlight();
  readonly background: BackgroundWork;
  readonly early: EarlyRuns;
  readonly unanswered: Unanswered;
  readonly engine: EngineLifecycle;
  readonly outsideCalls: OutsideCalls;
  isClosed = false;
  private readonly abort = new AbortController();
  private patienceMs: number;
  private draining: Promise<void> | undefined;

  constructor(
    @Inject(CallbackRegistry) readonly registry: CallbackRegistry,
    @Inject(EVENTS_SETTINGS) readonly options: CompleteOptions,
  ) {
    this.patienceMs = options.shutdownTimeout;
    this.failures = new Failures(options.onError);
    this.outsideCalls = new OutsideCalls(options.reportsOutsideCalls, this.failures.logger);
    this.background = new BackgroundWork(this);
    this.engine = new EngineLifecycle(this);
    this.early = new EarlyRuns(registry, this.failures);
    // Callbacks that listen to it are not a leak, however many run at once.
    setMaxListeners(0, this.signal);
    this.unanswered = new Unanswered(options.strict, this.failures, () => registry.keys);
  }

  /** Aborts when runs are given up. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }

  /**
   * Waits for all runs and background work. What is pending when `shutdownTimeout` is used up, by all calls together,
   * is rejected; and what is run in answer to that, too.
   */
  drain(): Promise<void> {
    return (this.draining ??= this.waitUntilIdle().finally(() => {
      this.draining = undefined;
    }));
  }

  private async waitUntilIdle(): Promise<void> {
    this.early.flush();
    const startedAt = performance.now();
    const notice = setTimeout(() => this.failures.logger.warn(this.waiting), NOTICE_AFTER_MS);
    let rounds = 0;
    let timer = setTimeout(giveUp.bind(this), this.patienceMs);
    // What ends may have started something else.
    while (!this.inFlight.isIdle && rounds < MOST_ROUNDS) await this.inFlight.whenIdle();
    clearTimeout(timer);
    clearTimeout(notice);
    await this.engine.flush();
    this.patienceMs = Math.max(0, this.patienceMs - (performance.now() - startedAt));

    function giveUp(this: EventsCore): void {
      rounds++;
      timer = setTimeout(giveUp.bind(this), ROUND_MS);
      if (!this.inFlight.isIdle) this.giveUp();
    }
  }

  /** From here on `run()` is refused. */
  close(): void {
    this.isClosed = true;
    this.background.tellOfDropped();
    this.early.close();
    this.outsideCalls.stop();
  }

  private get waiting(): string {
    return `Closing waits for ${this.inFlight.waitsFor.join(', ')}, up to ${this.options.shutdownTimeout} ms in all.`;
  }

  private giveUp(): void {
    const error = shutdownTimeout(this.options.shutdownTimeout, this.inFlight.waitsFor);
    this.failures.log('error', 'Closing', error);
    this.abort.abort(error);
    this.inFlight.giveUp(error);
  }
}
