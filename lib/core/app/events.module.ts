import {
  type DynamicModule,
  Global,
  Inject,
  Module,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { DeliveryWork } from '../delivery/delivery-work.js';
import { EventDeliveries } from '../delivery/event-deliveries.js';
import { configuredTwice } from '../errors/callback-errors.js';
import {
  ConfigurableModuleClass,
  EVENTS_OPTIONS,
  EVENTS_OPTIONS_PROVIDED,
  type EventsOptions,
} from '../options/events.options.js';
import { Provided } from '../options/provided.js';
import { untoldTransactions } from '../nest/transaction-hosts.js';
import { EventRunner } from '../runs/event-runner.js';
import type { Runtime } from '../runs/runtime.js';
import { EventsHealth } from './events-health.js';
import { EventsInspector } from './events-inspector.js';
import { EVENTS_RUNTIME, EventsPartsModule } from './events-parts.module.js';

@Global()
@Module({
  providers: [
    {
      provide: EVENTS_OPTIONS_PROVIDED,
      useFactory: (options: EventsOptions) => new Provided(options),
      inject: [EVENTS_OPTIONS],
    },
  ],
  exports: [EVENTS_OPTIONS_PROVIDED],
})
class EventsOptionsModule extends ConfigurableModuleClass {}

/** There is one in an application, however often {@link EventsModule} is imported. */
@Global()
@Module({
  imports: [EventsPartsModule],
  providers: [
    { provide: EventRunner, useFactory: (runtime: Runtime) => new EventRunner(runtime), inject: [EVENTS_RUNTIME] },
    {
      provide: EventDeliveries,
      useFactory: ({ registry, engine, declared, outsideCalls, coding }: Runtime) =>
        new EventDeliveries(registry, engine, declared, outsideCalls, coding),
      inject: [EVENTS_RUNTIME],
    },
    {
      provide: EventsInspector,
      useFactory: (runtime: Runtime, work: DeliveryWork) => new EventsInspector(runtime, work),
      inject: [EVENTS_RUNTIME, DeliveryWork],
    },
    { provide: EventsHealth, useFactory: (runtime: Runtime) => new EventsHealth(runtime), inject: [EVENTS_RUNTIME] },
  ],
  exports: [EventRunner, EventDeliveries, EventsInspector, EventsHealth],
})
class EventsCoreModule implements OnModuleInit, OnApplicationBootstrap {
  constructor(
    @Inject(EVENTS_RUNTIME) private readonly runtime: Runtime,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {
    const configured = [...modules.values()].filter(({ metatype }) => metatype === EventsOptionsModule);
    if (configured.length > 1) throw configuredTwice(configured.length);
  }

  /** Nest calls the hooks of global modules first: what is wrong with a callback is known before anything starts. */
  async onModuleInit(): Promise<void> {
    const { registry, declared, early } = this.runtime;
    registry.boot();
    this.warnOfTransactions();
    const booted = declared.boot();
    early.flush();
    await booted;
  }

  onApplicationBootstrap(): void {
    this.runtime.early.flush();
  }

  /** Only callbacks that depend on how a transaction ends have something to lose. */
  private warnOfTransactions(): void {
    const { registry, failures } = this.runtime;
    if (!registry.all.some(({ durable, held }) => durable.length + held.length > 0)) return;
    for (const connection of untoldTransactions(this.modules.values())) {
      failures.logger.warn(
        `@Transactional() opens transactions (connection "${connection}") that events know nothing of: deliveries are stored ` +
          'beside them and stay when they are rolled back, and after-commit callbacks do not wait. Wrap the adapter: ' +
          "withEvents(adapter), with withEvents from 'nestjs-callbacks/transactional'.",
      );
    }
  }
}

/**
 * Finds every `@Callback()` of the application and provides {@link EventRunner} to all modules. Import it once, in the
 * root module.
 *
 * @example
 * @Module({ imports: [EventsModule] })
 * @Module({ imports: [EventsModule.forRoot({ strict: true })] })
 *
 * @throws while the application starts: EVENTS_OPTION_INVALID, EVENTS_CONFIGURED_TWICE, EVENTS_DEFINITION_CONFLICT,
 * EVENTS_ENGINE_MISSING, EVENTS_ENGINE_FAILED, EVENTS_ENGINE_UNSUITED, EVENTS_CALLBACK_AMBIGUOUS,
 * EVENTS_ENHANCER_UNAVAILABLE, EVENTS_ORDER_UNKNOWN, EVENTS_ORDER_AMBIGUOUS, EVENTS_ORDER_IMPOSSIBLE
 */
@Module({ imports: [EventsCoreModule], exports: [EventsCoreModule] })
export class EventsModule {
  /** With options, for the whole application. */
  static forRoot(options: EventsOptions = {}): DynamicModule {
    return { module: EventsModule, imports: [EventsOptionsModule.forRoot(options)] };
  }

  /**
   * With options that need other providers.
   *
   * @example
   * EventsModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ strict: config.get('EVENTS_STRICT') === 'true' }),
   * })
   */
  static forRootAsync(options: Parameters<typeof ConfigurableModuleClass.forRootAsync>[0]): DynamicModule {
    return { module: EventsModule, imports: [EventsOptionsModule.forRootAsync(options)] };
  }
}
