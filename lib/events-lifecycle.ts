import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Module,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { EventsCore } from './events-core.js';

/**
 * Waits at each step of Nest's shutdown, before any other provider's hook of that step: in `onModuleDestroy`, so that
 * pools close after the work that needs them; in `beforeApplicationShutdown`; and once the HTTP server has closed,
 * for what its last requests ran.
 */
@Injectable()
export class EventsShutdown implements OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    @Inject(EventsCore) private readonly core: EventsCore,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    // Nest calls shutdown hooks module by module, by distance from the root: the root's first, at 1, and global
    // modules' last. No module is nearer than this.
    for (const module of modules.values()) {
      if (module.metatype === EventsShutdownModule) module.distance = -1;
    }
  }

  onModuleDestroy(): Promise<void> {
    return this.core.drain();
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.core.drain();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.core.drain();
    this.core.close();
  }
}

/** A module of its own: the place of {@link EventsShutdown} among the hooks is its module's. */
@Module({ providers: [EventsShutdown] })
export class EventsShutdownModule {}
