import { type DynamicModule, Global, Inject, Module, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { EVENTS_WORK_HOOKS, Provided } from '../core/seams.js';
import { EventDeliveries, EventsError, EventsInspector, EventsModule } from '../index.js';
import { Gauges } from './gauges.js';
import { Measures } from './measures.js';
import { type CompleteOptions, completeOptions, type EventsTelemetryOptions } from './options.js';
import { warnOfUnheardSdk } from './sdk.js';
import { TelemetryHooks } from './telemetry-hooks.js';

const OPTIONS = Symbol('EVENTS_TELEMETRY_OPTIONS');

const hooksOf = (options: CompleteOptions) =>
  new Provided(new TelemetryHooks(options.metrics ? new Measures() : undefined, options));

/**
 * Makes spans and metrics of what the application runs and performs, by the OpenTelemetry SDK that the process has started before it
 * loads the application. Without one it does nothing.
 *
 * @example
 * imports: [EventsModule.forRoot({ engine }), EventsTelemetryModule]
 */
@Global()
@Module({
  imports: [EventsModule],
  providers: [
    { provide: OPTIONS, useFactory: () => completeOptions() },
    { provide: EVENTS_WORK_HOOKS, useFactory: hooksOf, inject: [OPTIONS] },
  ],
  exports: [EVENTS_WORK_HOOKS],
})
export class EventsTelemetryModule implements OnModuleInit, OnModuleDestroy {
  private gauges: Gauges | undefined;

  constructor(
    @Inject(OPTIONS) private readonly options: CompleteOptions,
    @Inject(EventDeliveries) private readonly deliveries: EventDeliveries,
    @Inject(EventsInspector) private readonly inspector: EventsInspector,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    const own = [...modules.values()].filter(({ metatype }) => metatype === EventsTelemetryModule);
    if (own.length > 1) throw importedTwice(own.length);
  }

  /**
   * Imports the module with options.
   *
   * @example
   * imports: [EventsModule.forRoot({ engine }), EventsTelemetryModule.forRoot({ callbacks: true, headers: ['tenant'] })]
   *
   * @throws EVENTS_OPTION_INVALID when the application starts
   */
  static forRoot(options: EventsTelemetryOptions): DynamicModule {
    return {
      module: EventsTelemetryModule,
      providers: [{ provide: OPTIONS, useFactory: () => completeOptions(options) }],
    };
  }

  onModuleInit(): void {
    warnOfUnheardSdk();
    if (this.options.metrics) this.gauges = new Gauges(this.deliveries, this.inspector);
  }

  onModuleDestroy(): void {
    this.gauges?.stop();
  }
}

const importedTwice = (count: number) =>
  new EventsError(
    'EVENTS_CONFIGURED_TWICE',
    `EventsTelemetryModule is imported ${count} times in this application, not always with the same options. Keep one import, in the root module.`,
  );
