import {
  type DynamicModule,
  Global,
  Inject,
  Module,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { DiscoveryModule, ModulesContainer } from '@nestjs/core';
import { CallbackDiscovery } from '../callbacks/callback-discovery.js';
import { CallbackRegistry } from '../callbacks/callback-registry.js';
import { Enhancers } from '../nest/enhancers.js';
import { Entrypoints } from '../nest/entrypoints.js';
import { configuredTwice } from '../errors/callback-errors.js';
import { EventDeliveries } from '../delivery/event-deliveries.js';
import { EventRunner } from '../runs/event-runner.js';
import { EventsCore } from './shutdown.js';
import { EventsInspector } from './events-inspector.js';
import { EventsLifecycleModule } from './events-lifecycle.js';
import {
  completeOptions,
  ConfigurableModuleClass,
  EVENTS_OPTIONS,
  EVENTS_SETTINGS,
  type EventsOptions,
} from '../options/events.options.js';
import { EVENTS_TEST_HOOKS } from '../options/test-hooks.js';

@Global()
@Module({ exports: [EVENTS_OPTIONS] })
class EventsOptionsModule extends ConfigurableModuleClass {}

/** There is one per application, however often {@link EventsModule} is imported. */
@Global()
@Module({
  imports: [DiscoveryModule, EventsLifecycleModule],
  providers: [
    {
      provide: EVENTS_SETTINGS,
      useFactory: completeOptions,
      inject: [
        { token: EVENTS_OPTIONS, optional: true },
        { token: EVENTS_TEST_HOOKS, optional: true },
      ],
    },
    Enhancers,
    Entrypoints,
    CallbackDiscovery,
    CallbackRegistry,
    EventsCore,
    { provide: EventRunner, useFactory: (core: EventsCore) => new EventRunner(core), inject: [EventsCore] },
    { provide: EventDeliveries, useFactory: (core: EventsCore) => new EventDeliveries(core), inject: [EventsCore] },
    { provide: EventsInspector, useFactory: (core: EventsCore) => new EventsInspector(core), inject: [EventsCore] },
  ],
  exports: [EventRunner, EventDeliveries, EventsInspector, EventsCore],
})
class EventsCoreModule implements OnModuleInit, OnApplicationBootstrap {
  constructor(
    @Inject(EventsCore) private readonly core: EventsCore,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    const configured = [...modules.values()].filter(({ metatype }) => metatype === EventsOptionsModule);
    if (configured.length > 1) throw configuredTwice(configured.length);
  }

  /** Nest calls the hooks of global modules first: what is wrong with a callback is known before anything starts. */
  async onModuleInit(): Promise<void> {
    this.core.registry.boot();
    const booted = this.core.engine.boot();
    this.core.early.flush();
    await booted;
  }

  onApplicationBootstrap(): void {
    this.core.early.flush();
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
