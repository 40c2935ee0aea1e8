import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { EventsCore } from './shutdown.js';

/**
 * Takes up durable work when the application has started, after all hooks of others; and waits at each step of Nest's
 * shutdown, before any other provider's hook of that step: in `onModuleDestroy`, so that pools close after the work that
 * needs them; in `beforeApplicationShutdown`; and once the HTTP server has closed, for what its last requests ran.
 */
@Injectable()
export class EventsLifecycle
  implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown
{
  constructor(
    @Inject(EventsCore) private readonly core: EventsCore,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    // Nest calls hooks module by module, by distance from the root: at the start global modules' first and the root's, at
    // 1, last; at shutdown the other way round. No module is nearer than this.
    for (const module of modules.values()) {
      if (module.metatype === EventsLifecycleModule) module.distance = -1;
    }
  }

  onApplicationBootstrap(): void {
    this.core.engine.work();
  }

  async onModuleDestroy(): Promise<void> {
    this.core.engine.stopWorking();
    await this.core.drain();
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.core.drain();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.core.drain();
    this.core.close();
    await this.core.engine.stop();
  }
}

/** A module of its own: the place of {@link EventsLifecycle} among the hooks is its module's. */
@Module({ providers: [EventsLifecycle] })
export class EventsLifecycleModule {}
