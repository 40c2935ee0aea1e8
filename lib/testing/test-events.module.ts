import { type DynamicModule, Global, Inject, Module } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { EVENTS_TEST_HOOKS, Provided } from '../core/seams.js';
import { EventsModule } from '../index.js';
import { TestEvents } from './test-events.js';
import { TestKit, type TestEventsOptions } from './test-kit.js';
import { importedTwice } from './testing-errors.js';

/**
 * Records what the modules beside it run, and lets a test change what their callbacks do, both by {@link TestEvents}. It
 * keeps durable deliveries in memory, whatever engine the application has.
 *
 * @example
 * const testing = await Test.createTestingModule({ imports: [AppModule, TestEventsModule] }).compile();
 * const app = await testing.init();
 * const events = app.get(TestEvents);
 */
@Global()
@Module({
  imports: [EventsModule],
  providers: [
    { provide: TestKit, useFactory: () => new TestKit() },
    { provide: EVENTS_TEST_HOOKS, useFactory: ({ hooks }: TestKit) => new Provided(hooks), inject: [TestKit] },
    TestEvents,
  ],
  exports: [EVENTS_TEST_HOOKS, TestEvents],
})
export class TestEventsModule {
  constructor(@Inject(ModulesContainer) modules: ModulesContainer) {
    const own = [...modules.values()].filter(({ metatype }) => metatype === TestEventsModule);
    if (own.length > 1) throw importedTwice(own.length);
  }

  /**
   * Imports the module with options.
   *
   * @example
   * imports: [AppModule, TestEventsModule.forRoot({ shuffle: true })]
   *
   * @throws EVENTS_TESTING_INVALID when the application starts
   */
  static forRoot(options: TestEventsOptions): DynamicModule {
    return { module: TestEventsModule, providers: [{ provide: TestKit, useFactory: () => new TestKit(options) }] };
  }
}
