/** What happens to a run made while the application starts. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  Controller,
  Global,
  Inject,
  Injectable,
  Module,
  type OnApplicationBootstrap,
  type OnModuleInit,
  Scope,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';
import { closeApps, deferred, Log, startApp, turn, until } from '../support/app.js';

let ran: string[];
beforeEach(() => {
  ran = [];
});
afterEach(async () => {
  jest.useRealTimers();
  await closeApps();
});

@Injectable()
class Witness {
  @Callback('x') async see(who: string) {
    await turn();
    ran.push(who);
  }
}
@Module({ providers: [Witness] })
class WitnessModule {}

describe('A run', () => {
  it('made in a constructor waits until all instances exist, then reaches every callback, in the order of the runs', async () => {
    @Injectable()
    class Early {
      readonly run: Promise<unknown>;
      constructor(events: EventRunner) {
        this.run = Promise.all([events.run('x', 'first'), events.run('x', 'second'), events.runSettled('x', 'third')]);
      }
    }
    const { app } = await startApp({
      imports: [WitnessModule],
      providers: [Early, { provide: 'SLOW', useFactory: async () => ran.push('slow provider') }],
    });
    await app.get(Early).run;

    expect(ran).toEqual(['slow provider', 'first', 'second', 'third']);
  });

  it.each(['onModuleInit', 'onApplicationBootstrap'] as const)(
    'awaited in %s runs at once, also on providers whose own hook has not finished',
    async (hook) => {
      @Injectable()
      class Slow implements OnModuleInit, OnApplicationBootstrap {
        /** Nest calls hooks level by level of dependencies: this puts it beside Early. */
        constructor(readonly events: EventRunner) {}
        async onModuleInit() {
          if (hook === 'onModuleInit') await this.ready();
        }
        async onApplicationBootstrap() {
          if (hook === 'onApplicationBootstrap') await this.ready();
        }
        private async ready() {
          await turn();
          await turn();
          ran.push('slow hook done');
        }
        @Callback('x') see(who: string) {
          ran.push(`slow sees ${who}`);
        }
      }
      @Injectable()
      class Early {
        constructor(private readonly events: EventRunner) {}
        async onModuleInit() {
          if (hook === 'onModuleInit') await this.events.run('x', 'hook');
        }
        async onApplicationBootstrap() {
          if (hook === 'onApplicationBootstrap') await this.events.run('x', 'hook');
        }
      }
      await startApp([Early, Slow]);

      expect(ran).toEqual(['slow sees hook', 'slow hook done']);
    },
  );

  it('made in a constructor and awaited in a hook that Nest calls before ours does not deadlock', async () => {
    @Injectable()
    class Early implements OnModuleInit {
      private readonly run: Promise<void>;
      constructor(events: EventRunner) {
        this.run = events.run('x', 'constructor');
      }
      async onModuleInit() {
        await this.run;
        ran.push('hook');
      }
    }
    @Global()
    @Module({ imports: [WitnessModule], providers: [Early] })
    class FirstModule {}

    const app = await Test.createTestingModule({ imports: [FirstModule, EventsModule] })
      .setLogger(new Log())
      .compile();
    await app.init();
    await app.close();

    expect(ran).toEqual(['constructor', 'hook']);
  });

  it('is not kept waiting by providers that Nest creates per request or per use', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {}
    @Injectable({ scope: Scope.TRANSIENT })
    class PerUse {}
    @Injectable()
    class DependsOnRequest {
      constructor(readonly perRequest: PerRequest) {}
    }
    @Injectable()
    class DependsOnProperty {
      @Inject() readonly other!: DependsOnRequest;
    }
    @Controller()
    class Page {
      constructor(@Inject(REQUEST) readonly request: unknown) {}
    }
    @Injectable()
    class Early {
      readonly run: Promise<void>;
      constructor(events: EventRunner) {
        this.run = events.run('x', 'constructor');
      }
    }
    const app = await Test.createTestingModule({
      imports: [EventsModule, WitnessModule],
      controllers: [Page],
      providers: [PerRequest, PerUse, DependsOnRequest, DependsOnProperty, Early],
    })
      .setLogger(new Log())
      .compile();
    await app.get(EventRunner).run('x', 'compiled');
    await app.init();
    await app.close();

    expect(ran).toEqual(['constructor', 'compiled']);
  });

  it('works without init(), as in a unit test that only compiles its module', async () => {
    const app = await Test.createTestingModule({ imports: [EventsModule, WitnessModule] })
      .setLogger(new Log())
      .compile();
    await app.get(EventRunner).run('x', 'no init');
    expect(ran).toEqual(['no init']);
    await app.close();
  });

  it('awaited in an async provider factory is warned about after 5 s, by name', async () => {
    jest.useFakeTimers();
    const log = new Log();
    const release = deferred();
    const compiled = Test.createTestingModule({
      imports: [EventsModule],
      providers: [
        {
          provide: 'DEADLOCK',
          inject: [EventRunner],
          useFactory: (events: EventRunner) => Promise.race([events.run('cache_warmed'), release.promise]),
        },
      ],
    })
      .setLogger(log)
      .compile();
    await jest.advanceTimersByTimeAsync(4_999);
    expect(log.of('warn')).toEqual([]);
    await jest.advanceTimersByTimeAsync(1);

    expect(log.of('warn')).toEqual([
      '"cache_warmed" was run 5 s ago and still waits for Nest to create all providers. Awaited inside an async provider ' +
        'factory it waits for itself: run it in onModuleInit() or onApplicationBootstrap() instead.',
    ]);
    release.resolve();
    await (await compiled).close();
  });

  it.each(['at once', 'after a while'])('is rejected, and runs nothing, when a provider fails %s', async (when) => {
    const early: unknown[] = [];
    const log = new Log();
    @Injectable()
    class Early {
      constructor(events: EventRunner) {
        events.run('x', 'never').catch((error: unknown) => early.push(error));
      }
    }
    const fail = async () => {
      if (when === 'after a while') await turn();
      throw new Error('no database');
    };
    await expect(
      Test.createTestingModule({
        imports: [EventsModule, WitnessModule],
        providers: [Early, { provide: 'BROKEN', useFactory: fail }],
      })
        .setLogger(log)
        .compile(),
    ).rejects.toThrow('no database');

    await until(() => early.length > 0);
    expect(early).toMatchObject([{ code: 'EVENTS_CLOSED', message: expect.stringContaining('which has failed') }]);
    expect(log.of('error').join()).toContain('"x" was run while the application was starting');
    expect(ran).toEqual([]);
  });

  it('keeps the async context that it was made in', async () => {
    const storage = new AsyncLocalStorage<string>();
    @Injectable()
    class Seeing {
      @Callback('y') see() {
        ran.push(storage.getStore()!);
      }
    }
    @Injectable()
    class Early {
      constructor(events: EventRunner) {
        storage.run('constructor', () => void events.run('y'));
      }
    }
    await startApp([Seeing, Early]);
    expect(ran).toEqual(['constructor']);
  });

  it('that nobody awaits is not lost when the application closes before it was initialised', async () => {
    @Injectable()
    class Early {
      constructor(events: EventRunner) {
        void events.run('x', 'early');
      }
    }
    const app = await Test.createTestingModule({ imports: [EventsModule, WitnessModule], providers: [Early] })
      .setLogger(new Log())
      .compile();
    await app.close();
    expect(ran).toEqual(['early']);
  });

  it('made early is rejected with what the boot fails with', async () => {
    const early: unknown[] = [];
    @Injectable()
    class Broken {
      constructor(events: EventRunner) {
        events.run('x').catch((error: unknown) => early.push(error));
      }
      @Callback('x', { after: 'nobody' }) see() {}
    }
    const error = await startApp([Broken]).catch((thrown: unknown) => thrown);

    expect(error).toMatchObject({ code: 'EVENTS_ORDER_UNKNOWN' });
    await until(() => early.length > 0);
    expect(early).toMatchObject([{ code: 'EVENTS_ORDER_UNKNOWN' }]);
  });
});
