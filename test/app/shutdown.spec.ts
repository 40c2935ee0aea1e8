/** What closing the application promises: work is finished before pools close, late requests are served, nothing hangs. */
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Get, Global, Injectable, Module, type OnModuleDestroy } from '@nestjs/common';
import { ModulesContainer, NestFactory } from '@nestjs/core';
import {
  Callback,
  type CallbackFailure,
  defineEvent,
  EventRunner,
  type EventsError,
  EventsModule,
} from 'nestjs-callbacks';
import { closeApps, deferred, Log, startApp, turn } from '../support/app.js';

let ran: string[];
let gate: ReturnType<typeof deferred>;
beforeEach(() => {
  ran = [];
  gate = deferred();
});
afterEach(closeApps);

@Injectable()
class Pool implements OnModuleDestroy {
  onModuleDestroy() {
    ran.push('pool closed');
  }
}

@Injectable()
class Worker {
  constructor(readonly pool: Pool) {}
  @Callback('inline') async work() {
    await gate.promise;
    ran.push('inline done');
  }
  @Callback('inline') afterwards() {
    ran.push('next done');
  }
  @Callback('background', { delivery: 'background' }) async workBehind() {
    await gate.promise;
    ran.push('background done');
  }
}

describe('Closing waits for running and background work', () => {
  it.each([
    ['in the root module', (): any => ({ providers: [Pool, Worker] })],
    [
      'in an imported module, global or not',
      (): any => {
        @Global()
        @Module({ providers: [Pool], exports: [Pool] })
        class DatabaseModule {}
        @Module({ providers: [Worker] })
        class WorkModule {}
        return { imports: [DatabaseModule, WorkModule] };
      },
    ],
  ])('before a pool %s is closed', async (_, modules) => {
    const { app, events } = await startApp(modules());
    void events.run('inline');
    void events.run('background');
    await turn();

    const closing = app.close();
    await turn();
    expect(ran).toEqual([]);
    gate.resolve();
    await closing;

    expect(ran).toHaveLength(4);
    expect(ran.at(-1)).toBe('pool closed');
  });

  it.each(['run', 'runSettled', 'runParallel'] as const)(
    'waits for all of a %s(), also between its callbacks',
    async (method) => {
      const seen: string[] = [];
      @Injectable()
      class Steps {
        @Callback('x') async one() {
          await turn();
          seen.push('one');
        }
        @Callback('x') async two() {
          await turn();
          await turn();
          seen.push('two');
        }
        @Callback('x', { delivery: 'after-commit' }) async three() {
          await turn();
          seen.push('three');
        }
        @Callback('x', { delivery: 'background' }) async four() {
          await turn();
          seen.push('four');
        }
        onModuleDestroy() {
          seen.push('pool closed');
        }
      }
      const { app, events } = await startApp([Steps]);
      void events[method]('x');
      await app.close();
      expect(seen).toEqual(['one', 'two', 'three', 'four', 'pool closed']);
    },
  );

  it('also for what it starts itself, and in an application without HTTP', async () => {
    @Injectable()
    class Chain {
      constructor(private readonly events: EventRunner) {}
      @Callback('x', { delivery: 'background' }) async go() {
        await turn();
        await this.events.run('background');
      }
    }
    @Module({ imports: [EventsModule], providers: [Pool, Worker, Chain] })
    class AppModule {}
    const app = await NestFactory.createApplicationContext(AppModule, { logger: new Log() });
    await app.get(EventRunner).run('x');
    gate.resolve();
    await app.close();

    expect(ran).toEqual(['background done', 'pool closed']);
  });
});

describe('run()', () => {
  it('is accepted until the HTTP server has closed, and refused from then on', async () => {
    const inRequest = deferred();
    const mayAnswer = deferred();
    @Controller()
    class Page {
      constructor(private readonly events: EventRunner) {}
      @Get() async get() {
        inRequest.resolve();
        await mayAnswer.promise;
        await this.events.run('background');
        return 'answered';
      }
    }
    const { app, events, log } = await startApp({ controllers: [Page], providers: [Pool, Worker] });
    await app.listen(0, '127.0.0.1');
    const response = fetch(await app.getUrl(), { headers: { connection: 'close' } });
    await inRequest.promise;

    const closing = app.close();
    await turn();
    gate.resolve();
    mayAnswer.resolve();
    expect(await (await response).text()).toBe('answered');
    await closing;

    expect(ran).toEqual(['pool closed', 'background done']);
    const message =
      '"inline" was run after the application had closed, so no callback has run. Run it before, or await app.close() later.';
    await expect(events.run('inline')).rejects.toMatchObject({ code: 'EVENTS_CLOSED', message });
    await expect(events.runSettled('inline')).rejects.toMatchObject({ code: 'EVENTS_CLOSED' });
    expect(log.of('error')[0]).toContain(message);
  });
});

describe('When shutdownTimeout has passed,', () => {
  const message = (names: string) =>
    `The application closed, and after 20 ms these had not finished: ${names}. ` +
    'Make them settle or heed currentEvent().signal, or raise shutdownTimeout.';

  it('what never settles is rejected, by name, and the callbacks after it do not run', async () => {
    const { app, events, log } = await startApp([Pool, Worker], { shutdownTimeout: 20 });
    const runs = [
      events.run('inline'),
      events.run('inline'),
      events.runSettled('inline'),
      events.runParallel('inline'),
    ];

    await app.close();

    for (const run of runs) {
      await expect(run).rejects.toMatchObject({
        code: 'EVENTS_SHUTDOWN_TIMEOUT',
        message: message('Worker.work (4 times)'),
      });
    }
    expect(log.of('error').map((line) => line.split('\n')[0])).toEqual([
      `Closing: ${message('Worker.work (4 times)')}`,
    ]);
    gate.resolve();
    await turn();
    expect(ran).toEqual(['next done', 'pool closed', 'inline done', 'inline done', 'inline done', 'inline done']);
  });

  it('background work is given up, begun or not, and onError is told of each', async () => {
    const failures: CallbackFailure[] = [];
    const { app, events, log } = await startApp([Pool, Worker], {
      shutdownTimeout: 20,
      background: { concurrency: 1 },
      onError: (failure) => failures.push(failure),
    });
    await Promise.all([1, 2, 3].map(() => events.run('background')));
    await turn();

    await app.close();

    expect(log.of('error').map((line) => line.split('\n')[0])).toEqual([
      `Closing: ${message('Worker.workBehind (background), Worker.workBehind (background, not begun) (2 times)')}`,
    ]);
    expect(
      failures.map(({ callback, error, reachesCaller }) => [callback, (error as any).code, reachesCaller]),
    ).toEqual(Array(3).fill(['Worker.workBehind', 'EVENTS_SHUTDOWN_TIMEOUT', false]));
    gate.resolve();
    await turn();
    expect(ran).toEqual(['pool closed', 'background done']);
  });

  it('what is run in answer to that is given up as well', async () => {
    const never = () => new Promise(() => {});
    @Injectable()
    class Compensating {
      constructor(private readonly events: EventRunner) {}
      @Callback('outer') async outer() {
        await this.events.run('inner').catch(() => this.events.run('compensate'));
      }
      @Callback('inner') inner() {
        return never();
      }
      @Callback('compensate') compensate() {
        ran.push('compensating');
        return never();
      }
    }
    const { app, events, log } = await startApp([Compensating], { shutdownTimeout: 20 });
    const run = events.run('outer');
    await app.close();

    await expect(run).rejects.toMatchObject({ code: 'EVENTS_SHUTDOWN_TIMEOUT' });
    expect(ran).toEqual(['compensating']);
    expect(log.of('error').map((line) => /not finished: (.*?)\. /.exec(line)?.[1])).toEqual([
      'Compensating.inner, Compensating.outer',
      'Compensating.compensate',
    ]);
  });

  it('a run whose schemas had not answered does not begin any more', async () => {
    const checked = defineEvent('checked', {
      '~standard': { version: 1, vendor: 'test', validate: (value) => gate.promise.then(() => ({ value })) },
    });
    @Injectable()
    class Checked {
      @Callback(checked) go() {
        ran.push('checked');
      }
    }
    const { app, events } = await startApp([Checked], { shutdownTimeout: 20 });
    const run = events.run(checked, 'Ada');
    await app.close();
    await expect(run).rejects.toThrow(message('the schemas of "checked"'));
    gate.resolve();
    await turn();
    expect(ran).toEqual([]);
  });

  it('two calls of close() wait together', async () => {
    const { app, events } = await startApp([Pool, Worker], { shutdownTimeout: 1_000 });
    // Nest 11 calls the hooks once for each close(), and Nest 12 once for both.
    const hooks = [...app.get(ModulesContainer).values()]
      .filter(({ name }) => name.startsWith('Events'))
      .flatMap(({ providers }) => [...providers.values()])
      .flatMap(
        ({ instance }) => (instance as Partial<OnModuleDestroy> | undefined)?.onModuleDestroy?.bind(instance) ?? [],
      );
    expect(hooks).toHaveLength(1);
    const run = events.run('inline');
    const closed = [app.close(), hooks[0](), app.close()];
    await turn();
    expect(ran).toEqual([]);
    gate.resolve();
    await Promise.all([run, ...closed]);
    expect(ran.slice(0, 3)).toEqual(['inline done', 'next done', 'pool closed']);
  });

  it('a failure that comes later still is reported', async () => {
    const { app, events, log } = await startApp([Pool, Worker], { shutdownTimeout: 20 });
    const runs = [events.run('inline'), events.runSettled('inline'), events.run('background')];
    await turn();
    await app.close();
    await Promise.allSettled(runs);

    gate.reject(new Error('connection lost'));
    await turn();

    const late = log.of('error').slice(1);
    expect(late.map((line) => line.split('\n')[0]).sort()).toEqual([
      '"background": Worker.workBehind failed: connection lost',
      '"inline": Worker.work failed: connection lost',
      '"inline": Worker.work failed: connection lost',
    ]);
  });

  it('the time is for all steps of the shutdown together', async () => {
    const startedAt = performance.now();
    @Injectable()
    class Late implements OnModuleDestroy {
      constructor(private readonly events: EventRunner) {}
      onModuleDestroy() {
        void this.events.run('inline');
      }
    }
    const { app, events } = await startApp([Pool, Worker, Late], { shutdownTimeout: 100 });
    const timers = jest.spyOn(globalThis, 'setTimeout');
    void events.run('inline');
    await app.close();
    const waits = timers.mock.calls.map(([, ms]) => ms!).filter((ms) => ms <= 100);
    timers.mockRestore();

    expect(waits[0]).toBe(100);
    expect(waits.slice(1).every((ms) => ms < 100)).toBe(true);
    expect(performance.now() - startedAt).toBeGreaterThan(99);
  });
});

describe('Work that is run in answer to giving up', () => {
  const failures: CallbackFailure[] = [];
  let events: EventRunner;
  beforeEach(() => void failures.splice(0));

  @Injectable()
  class Hanging {
    begun = 0;
    @Callback('work', { delivery: 'background' }) work() {
      return new Promise(() => {});
    }
    @Callback('failed', { delivery: 'background' }) tell() {
      this.begun++;
      return new Promise(() => {});
    }
    @Callback('failed', { delivery: 'background' }) tellAnother() {
      this.begun++;
      return new Promise(() => {});
    }
  }
  const onError = (failure: CallbackFailure) => {
    failures.push(failure);
    return events.run('failed', failure.callback);
  };

  it('A17: begins nothing in the background, and is told of once for each callback', async () => {
    const started = await startApp([Hanging], { onError, shutdownTimeout: 1 });
    ({ events } = started);
    await events.run('work');
    await turn();

    await started.app.close();

    expect(started.app.get(Hanging).begun).toBe(0);
    expect(failures.map(({ callback, error }) => [callback, (error as EventsError).code])).toEqual([
      ['Hanging.work', 'EVENTS_SHUTDOWN_TIMEOUT'],
      ['Hanging.tell', 'EVENTS_SHUTDOWN_TIMEOUT'],
      ['Hanging.tellAnother', 'EVENTS_SHUTDOWN_TIMEOUT'],
    ]);
    const lines = [...started.log.of('error'), ...started.log.of('warn')].map((line) => line.split('\n')[0]);
    expect(lines).toEqual([
      'Closing: The application closed, and after 1 ms these had not finished: Hanging.work (background). ' +
        'Make them settle or heed currentEvent().signal, or raise shutdownTimeout.',
      '"failed" was not delivered to Hanging.tell: the application closes, and has given up the work that it waited for. ' +
        'Nothing begins in the background then; make that work settle, or raise shutdownTimeout.',
      expect.stringMatching(/^"failed" was not delivered to Hanging\.tellAnother: /),
      expect.stringMatching(/^\d deliveries to Hanging\.tell were dropped \(EVENTS_SHUTDOWN_TIMEOUT\)\.$/),
      expect.stringMatching(/^\d deliveries to Hanging\.tellAnother were dropped \(EVENTS_SHUTDOWN_TIMEOUT\)\.$/),
    ]);
  });

  it('A17: is given up itself, where it hangs before that', async () => {
    @Injectable()
    class HangingInline extends Hanging {
      @Callback('failed') first() {
        return new Promise(() => {});
      }
    }
    const started = await startApp([HangingInline], { onError, shutdownTimeout: 1 });
    ({ events } = started);
    await events.run('work');
    await turn();

    await started.app.close();

    expect(failures.map(({ callback }) => callback)).toEqual(['HangingInline.work']);
  });
});
