/** What is said at boot of an engine that is none, and of options that were forgotten. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Callback, EventsModule } from 'nestjs-callbacks';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { closeApps, Log, startApp } from '../support/app.js';

afterEach(closeApps);

@Injectable()
class Emails {
  @Callback('x', { delivery: 'durable' }) greet() {}
}

describe('C16: an engine', () => {
  it.each<[string, any, string]>([
    [
      'wrapped once more',
      () => memoryEngine(),
      'calling it gives a function, and no engine. Pass what postgres({ … }) or redis({ … }) returns, as it is.',
    ],
    [
      'not called',
      memoryEngine,
      'calling it gives a function, and no engine. Pass what postgres({ … }) or redis({ … }) returns, as it is.',
    ],
    [
      'of nothing',
      () => undefined,
      'calling it gives undefined, and no engine. Pass what postgres({ … }) or redis({ … }) returns, as it is.',
    ],
    [
      'that is a promise',
      async () => memoryEngine()(),
      'it is made by an async function. Make it in forRootAsync(), where useFactory may be async.',
    ],
  ])('%s is refused at boot', async (_, engine, message) => {
    const error: unknown = await startApp([Emails], { engine }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'EVENTS_OPTION_INVALID',
      message: `EventsModule was configured with a wrong engine: ${message}`,
    });
  });

  it('whose options nobody has returned is missed', async () => {
    @Module({ imports: [EventsModule.forRootAsync({ useFactory: (() => {}) as never })] })
    class AppModule {}
    await expect(Test.createTestingModule({ imports: [AppModule] }).compile()).rejects.toMatchObject({
      code: 'EVENTS_OPTION_INVALID',
      message:
        'EventsModule was configured with options: undefined. Return an object from useFactory, {} for the defaults.',
    });
  });
});

it('C20: an instance that performs nothing says at boot how many wait', async () => {
  const store = new MemoryStore();
  const options = { engine: memoryEngine({ store }), work: false };
  const { events } = await startApp([Emails], options);
  await events.run('x');
  await events.run('x');
  const log = new Log();
  await startApp([Emails], options, log);
  expect(log.of('log')).toContain(
    '2 deliveries wait, and this instance performs none (work: false): another one is to.',
  );
});

it('C24: an error that comes of no other has no cause', async () => {
  const error = await startApp([Emails]).catch((reason: unknown) => reason as Error);
  expect(error).toMatchObject({ code: 'EVENTS_ENGINE_MISSING' });
  expect(Object.hasOwn(error, 'cause')).toBe(false);
});
