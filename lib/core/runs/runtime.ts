import type { InFlight } from '../async/in-flight.js';
import type { CallbackRegistry } from '../callbacks/callback-registry.js';
import type { Coding } from '../delivery/coding.js';
import type { DeclaredCallbacks } from '../delivery/declared-callbacks.js';
import type { RunningEngine } from '../delivery/running-engine.js';
import type { CompleteOptions } from '../options/events.options.js';
import type { Failures } from '../reports/failures.js';
import type { OutsideCalls } from '../reports/outside-calls.js';
import type { BackgroundWork } from './background-work.js';
import type { EarlyRuns } from './early-runs.js';
import type { Unanswered } from './unanswered.js';

/** Everything that the runs of one application share. Two applications in one process have two. */
export interface Runtime {
  readonly options: CompleteOptions;
  readonly registry: CallbackRegistry;
  readonly inFlight: InFlight;
  readonly failures: Failures;
  readonly outsideCalls: OutsideCalls;
  readonly engine: RunningEngine;
  readonly declared: DeclaredCallbacks;
  /** What is stored goes through it, and back. */
  readonly coding: Coding;
  readonly background: BackgroundWork;
  readonly early: EarlyRuns;
  readonly unanswered: Unanswered;
}
