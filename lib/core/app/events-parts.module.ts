import { Inject, Module } from '@nestjs/common';
import { DiscoveryModule, ModulesContainer } from '@nestjs/core';
import { InFlight } from '../async/in-flight.js';
import { CallbackDiscovery } from '../callbacks/callback-discovery.js';
import { CallbackRegistry } from '../callbacks/callback-registry.js';
import { Coding } from '../delivery/coding.js';
import { DeclaredCallbacks } from '../delivery/declared-callbacks.js';
import { DeliveryWork } from '../delivery/delivery-work.js';
import { RunningEngine } from '../delivery/running-engine.js';
import { Settlements } from '../delivery/settlements.js';
import { Enhancers } from '../nest/enhancers.js';
import { Entrypoints } from '../nest/entrypoints.js';
import { placeNearest } from '../nest/internals.js';
import {
  type CompleteOptions,
  completeOptions,
  EVENTS_OPTIONS_PROVIDED,
  EVENTS_SETTINGS,
  type EventsOptions,
} from '../options/events.options.js';
import { optionInvalid } from '../errors/callback-errors.js';
import { Provided } from '../options/provided.js';
import { EVENTS_TEST_HOOKS, type EventsTestHooks } from '../options/test-hooks.js';
import { EVENTS_WORK_HOOKS, type WorkHooks } from '../options/work-hooks.js';
import { Failures } from '../reports/failures.js';
import { OutsideCalls } from '../reports/outside-calls.js';
import { BackgroundWork } from '../runs/background-work.js';
import { EarlyRuns } from '../runs/early-runs.js';
import type { Runtime } from '../runs/runtime.js';
import { Unanswered } from '../runs/unanswered.js';
import { warnOfCopies } from './copies-warning.js';
import { EventsLifecycle } from './events-lifecycle.js';
import { Shutdown } from './shutdown.js';

/** The options that were given, if any were. A factory that forgets to return them has not given none. */
function givenIn(options: Provided<EventsOptions> | undefined): EventsOptions | undefined {
  if (!Provided.is(options)) return undefined;
  const given: unknown = Provided.valueOf(options);
  if (given !== undefined) return given as EventsOptions;
  throw optionInvalid('options', given, 'Return an object from useFactory, {} for the defaults.');
}

/** The token of {@link Runtime}. */
export const EVENTS_RUNTIME = Symbol('EVENTS_RUNTIME');

const runtimeOf = (
  options: CompleteOptions,
  registry: CallbackRegistry,
  inFlight: InFlight,
  failures: Failures,
  declared: DeclaredCallbacks,
): Runtime => ({
  options,
  registry,
  inFlight,
  failures,
  outsideCalls: new OutsideCalls(options.reportsOutsideCalls, failures.logger),
  engine: declared.engine,
  declared,
  coding: new Coding(options.codec),
  background: new BackgroundWork(options.background, inFlight, failures, options.propagators),
  early: new EarlyRuns(registry, failures),
  unanswered: new Unanswered(
    options.strict,
    failures,
    () => registry.keys,
    async () => (declared.engine.isConfigured ? (await declared.engine.start()).addresses() : []),
  ),
});

/**
 * Makes what an application's events are made of, for our own modules alone: it is not global, so that nothing of it can be
 * injected elsewhere.
 */
@Module({
  imports: [DiscoveryModule],
  providers: [
    {
      provide: EVENTS_SETTINGS,
      useFactory: (
        options?: Provided<EventsOptions>,
        hooks?: Provided<EventsTestHooks>,
        watching?: Provided<WorkHooks>,
      ) => {
        warnOfCopies();
        return completeOptions(givenIn(options), Provided.valueOf(hooks), Provided.valueOf(watching));
      },
      inject: [
        { token: EVENTS_OPTIONS_PROVIDED, optional: true },
        { token: EVENTS_TEST_HOOKS, optional: true },
        { token: EVENTS_WORK_HOOKS, optional: true },
      ],
    },
    Enhancers,
    Entrypoints,
    CallbackDiscovery,
    CallbackRegistry,
    InFlight,
    {
      provide: Failures,
      useFactory: ({ onError, codec }: CompleteOptions) => new Failures(onError, codec !== undefined),
      inject: [EVENTS_SETTINGS],
    },
    {
      provide: RunningEngine,
      useFactory: ({ engine }: CompleteOptions, failures: Failures) => new RunningEngine(engine, failures),
      inject: [EVENTS_SETTINGS, Failures],
    },
    {
      provide: Settlements,
      useFactory: (engine: RunningEngine) => new Settlements(engine),
      inject: [RunningEngine],
    },
    {
      provide: DeclaredCallbacks,
      useFactory: (engine: RunningEngine, registry: CallbackRegistry, settings: CompleteOptions) =>
        new DeclaredCallbacks(engine, registry, settings),
      inject: [RunningEngine, CallbackRegistry, EVENTS_SETTINGS],
    },
    {
      provide: EVENTS_RUNTIME,
      useFactory: runtimeOf,
      inject: [EVENTS_SETTINGS, CallbackRegistry, InFlight, Failures, DeclaredCallbacks],
    },
    {
      provide: DeliveryWork,
      useFactory: (
        { engine, declared, registry, inFlight, failures, coding, options }: Runtime,
        settlements: Settlements,
      ) =>
        new DeliveryWork(engine, declared, registry, {
          coding,
          inFlight,
          failures,
          settlements,
          engine,
          propagators: options.propagators,
          around: options.around,
          random: options.hooks?.random,
        }),
      inject: [EVENTS_RUNTIME, Settlements],
    },
    {
      provide: Shutdown,
      useFactory: (runtime: Runtime, settlements: Settlements) => new Shutdown(runtime, settlements),
      inject: [EVENTS_RUNTIME, Settlements],
    },
    EventsLifecycle,
  ],
  exports: [EVENTS_RUNTIME, DeliveryWork],
})
export class EventsPartsModule {
  constructor(@Inject(ModulesContainer) modules: ModulesContainer) {
    // So that the hooks of EventsLifecycle come last at the start, and first at shutdown.
    for (const module of modules.values()) if (module.metatype === EventsPartsModule) placeNearest(module);
  }
}
