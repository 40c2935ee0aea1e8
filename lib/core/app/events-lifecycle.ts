import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { DeliveryWork } from '../delivery/delivery-work.js';
import { onFailedStart } from '../nest/failed-start.js';
import { type CompleteOptions, EVENTS_SETTINGS } from '../options/events.options.js';
import { Shutdown } from './shutdown.js';

/**
 * Takes up durable work when the application has started, after all hooks of others. At shutdown it waits at each step of
 * Nest's, before any other provider's hook of that step: in `onModuleDestroy`, so that pools close after the work that
 * needs them; in `beforeApplicationShutdown`; and once the HTTP server has closed, for what its last requests ran.
 */
@Injectable()
export class EventsLifecycle
  implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown
{
  constructor(
    @Inject(EVENTS_SETTINGS) private readonly settings: CompleteOptions,
    @Inject(DeliveryWork) private readonly work: DeliveryWork,
    @Inject(Shutdown) private readonly shutdown: Shutdown,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    onFailedStart(modules, () => void this.shutdown.abandon());
  }

  onApplicationBootstrap(): void {
    if (this.settings.work) this.work.start();
  }

  async onModuleDestroy(): Promise<void> {
    this.work.stop();
    await this.shutdown.drain();
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.shutdown.drain();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.shutdown.drain();
    await this.shutdown.close();
  }
}
