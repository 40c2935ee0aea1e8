/** What becomes of events when an application does not start. Nest then calls no hook, and nobody has the application. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';
import { type EngineFactory } from 'nestjs-callbacks/engine';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { until } from '../support/app.js';

let events: EventRunner | undefined;
let stopped: number;
afterEach(() => {
  events = undefined;
});

function appThatFails(hook: string, engine?: EngineFactory) {
  @Injectable()
  class Failing {
    constructor(runner: EventRunner) {
      events = runner;
    }
  }
  Object.defineProperty(Failing.prototype, hook, {
    value: async () => {
      throw new Error('not this time');
    },
  });
  class Emails {
    @Callback('x', { delivery: engine ? 'durable' : 'inline' }) greet() {}
  }
  @Module({ imports: [EventsModule.forRoot({ engine })], providers: [Emails, Failing] })
  class AppModule {}
  return AppModule;
}

const counting =
  (make: EngineFactory): EngineFactory =>
  () => {
    const engine = make();
    const stop = engine.stop.bind(engine);
    stopped = 0;
    return Object.assign(engine, {
      stop: () => {
        stopped++;
        return stop();
      },
    });
  };
const quietly = { abortOnError: false, logger: false } as const;

describe.each(['onModuleInit', 'onApplicationBootstrap'])('A10: When %s() of another module throws', (hook) => {
  it('the engine is stopped, and runs are refused', async () => {
    const failing = appThatFails(hook, counting(memoryEngine()));
    await expect(NestFactory.createApplicationContext(failing, quietly)).rejects.toThrow('not this time');
    await until(() => stopped === 1);
    await expect(events!.run('x')).rejects.toMatchObject({ code: 'EVENTS_CLOSED' });
  });

  it('runs are refused without an engine, too, and the application may still be closed', async () => {
    const app = await NestFactory.create(appThatFails(hook), quietly);
    await expect(app.init()).rejects.toThrow('not this time');
    await expect(events!.run('x')).rejects.toMatchObject({ code: 'EVENTS_CLOSED' });
    await app.close();
  });

  it('another application of the process goes on', async () => {
    const app = await NestFactory.createApplicationContext(appThatFails('other', memoryEngine()), quietly);
    const { run } = { run: events! };
    await expect(NestFactory.createApplicationContext(appThatFails(hook), quietly)).rejects.toThrow();
    await run.run('x');
    await app.close();
  });
});

describe('A10: When a route cannot be made', () => {
  it('the engine is stopped, and runs are refused', async () => {
    @Controller('cats')
    class Cats {
      @Get() list() {}
    }
    @Module({ imports: [appThatFails('other', counting(memoryEngine()))], controllers: [Cats] })
    class Root {}
    const app = await NestFactory.create(Root, quietly);
    const adapter = app.getHttpAdapter();
    adapter.get = () => {
      throw new Error('no such route');
    };
    await expect(app.init()).rejects.toThrow('no such route');
    await until(() => stopped === 1);
    await expect(events!.run('x')).rejects.toMatchObject({ code: 'EVENTS_CLOSED' });
  });
});
