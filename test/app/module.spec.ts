/** How `EventsModule` is imported and configured, and what it keeps apart. */
import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Callback, EventRunner, EventsModule, type EventsOptions } from 'nestjs-callbacks';
import { closeApps, Log, startApp } from '../support/app.js';

afterEach(closeApps);

const compile = (...imports: any[]) => Test.createTestingModule({ imports }).setLogger(new Log()).compile();

describe('EventsModule', () => {
  it('imported once provides the EventRunner to every module', async () => {
    @Injectable()
    class SignUp {
      constructor(readonly events: EventRunner) {}
    }
    @Module({ providers: [SignUp] })
    class SignUpModule {}

    const { app, events } = await startApp({ imports: [SignUpModule] });

    expect(app.get(SignUp).events).toBe(events);
  });

  it('imported by several modules, plainly and with options, is one', async () => {
    @Module({ imports: [EventsModule] })
    class FeatureModule {}
    const app = await compile(FeatureModule, EventsModule.forRoot({ strict: true }), EventsModule);

    expect(app.get(EventRunner, { each: true })).toHaveLength(1);
    await expect(app.get(EventRunner).run('x')).rejects.toMatchObject({ code: 'EVENTS_NOBODY_ANSWERS' });
    await app.close();
  });

  it('takes its options from a factory with injected providers, or from a class', async () => {
    @Module({ providers: [{ provide: 'STRICT', useValue: true }], exports: ['STRICT'] })
    class ConfigModule {}
    class Options {
      create() {
        return { strict: true };
      }
    }
    for (const module of [
      EventsModule.forRootAsync({
        imports: [ConfigModule],
        inject: ['STRICT'],
        useFactory: async (strict: boolean) => ({ strict }),
      }),
      EventsModule.forRootAsync({ useClass: Options }),
    ]) {
      const app = await compile(module);
      await expect(app.get(EventRunner).run('x')).rejects.toMatchObject({ code: 'EVENTS_NOBODY_ANSWERS' });
      await app.close();
    }
  });

  it('refuses to be configured twice', async () => {
    await expect(
      compile(EventsModule.forRoot({}), EventsModule.forRootAsync({ useFactory: () => ({}) })),
    ).rejects.toMatchObject({
      code: 'EVENTS_CONFIGURED_TWICE',
      message:
        'EventsModule.forRoot() or forRootAsync() is imported 2 times in this application, and its options hold for all of it. ' +
        'Keep the one in the root module; other modules need no import, or the plain EventsModule.',
    });
  });

  it.each<[any, string]>([
    [{ strict: 'yes' }, "strict: 'yes'. Pass true or false."],
    [{ shutdownTimeout: -1 }, 'shutdownTimeout: -1. Pass milliseconds, from 0 to 2147483647.'],
    [{ shutdownTimeout: NaN }, 'shutdownTimeout: NaN. Pass milliseconds, from 0 to 2147483647.'],
    [{ shutdownTimeout: Infinity }, 'shutdownTimeout: Infinity. Pass milliseconds, from 0 to 2147483647.'],
    [{ onError: {} }, 'onError: {}. Pass a function of a failure.'],
    [{ background: 5 }, 'background: 5. Pass { concurrency, maxQueued }.'],
    [{ background: { concurrency: 0 } }, 'background.concurrency: 0. Pass a whole number, 1 or more.'],
    [{ background: { maxQueued: 1.5 } }, 'background.maxQueued: 1.5. Pass a whole number, 0 or more.'],
    [{ tracksCurrentEvent: 1 }, 'tracksCurrentEvent: 1. Pass true or false.'],
    [{ stict: true }, 'stict: true, which is not an option of it. Did you mean "strict"?'],
    [
      { wildcard: true },
      'wildcard: true, which is not an option of it. There are strict, shutdownTimeout, startTimeout, onError, background, engine, work, remote, propagators, codec, durable, tracksCurrentEvent, reportsOutsideCalls, appliesGlobalEnhancers.',
    ],
    [
      { background: { maxQueue: 5 } },
      'background.maxQueue: 5, which is not an option of it. Did you mean "background.maxQueued"?',
    ],
    [null, 'options: null. Pass an object, or leave it out.'],
  ])('refuses the options %p at boot', async (options, message) => {
    await expect(compile(EventsModule.forRoot(options as EventsOptions))).rejects.toMatchObject({
      code: 'EVENTS_OPTION_INVALID',
      message: `EventsModule was configured with ${message}`,
    });
  });

  it.each<[any, string]>([
    [{ connectionString: 'postgres://ada:secret@host/base' }, `connectionString: 'postgres://…@host/base'`],
    [{ url: 'redis://:secret@host' }, `url: 'redis://…@host'`],
    [{ engine: 'postgres://ada:secret@host/base' }, `engine: 'postgres://…@host/base'`],
    [{ engine: { host: 'host', password: 'secret' } }, 'engine: { host, password }'],
    [{ remote: [{ event: 'x', callback: 'A.a', store: 'redis://:secret@host' }] }, `remote[0].store: 'redis://…@host'`],
  ])('C19: %#. shows no secret of an option that is not one', async (options, shown) => {
    const error = await startApp([], options).catch((refusal: Error) => refusal);
    expect(error).toMatchObject({ message: expect.stringContaining(`EventsModule was configured with ${shown}`) });
    expect(inspect(error)).not.toContain('secret');
  });

  it('keeps two applications in one process apart', async () => {
    const ran: string[] = [];
    @Injectable()
    class Bot {
      static apps = 0;
      private readonly app = ++Bot.apps;
      @Callback('x') announce() {
        ran.push(`app ${this.app}`);
      }
    }
    const one = await startApp([Bot]);
    const two = await startApp([Bot]);

    await one.events.run('x');
    expect(ran).toEqual(['app 1']);
    await one.app.close();
    await two.events.run('x');
    expect(ran).toEqual(['app 1', 'app 2']);
  });
});
