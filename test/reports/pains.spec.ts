/**
 * What hurts users of event libraries for Nest, each as a test that fails on what they do: errors that end the process
 * or are swallowed, nothing to await, no order, lost early events, handlers that run twice, and logs that do not say
 * which one failed. The programs run in a process of their own, since the fate of the process is the question.
 */
import { beforeAll, describe, expect, it } from '@jest/globals';
import { type Ended, runInProcess } from '../support/child-process.js';

const program = (providers: string, main: string, list = '[Answers]') => `
  import 'reflect-metadata';
  import { ConflictException, Injectable, Module } from '@nestjs/common';
  import { NestFactory } from '@nestjs/core';
  import { setTimeout as sleep } from 'node:timers/promises';
  import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';

  ${providers}
  @Module({ imports: [EventsModule.forRoot({ shutdownTimeout: 50 })], providers: ${list} })
  class AppModule {}

  const app = await NestFactory.createApplicationContext(AppModule);
  const events = app.get(EventRunner);
  ${main}
  await sleep(20);
  console.log('STILL ALIVE');
  await app.close();
  console.log('CLOSED');
`;

describe('An error never ends the process', () => {
  let ended: Ended;
  beforeAll(async () => {
    ended = await runInProcess(
      program(
        `@Injectable()
        class Answers {
          @Callback('sync') sync() { throw new Error('thrown at once'); }
          @Callback('late') async late() { await sleep(1); throw new Error('thrown late'); }
          @Callback('undefined') nothing() { return Promise.reject(undefined); }
          @Callback('twice') twice() {
            return { then(resolve, reject) { reject(new Error('thenable')); resolve(); reject(new Error('again')); throw new Error('and again'); } };
          }
          @Callback('getter') getter() { return { get then() { throw new Error('then is a getter'); } }; }
          @Callback('hangs') hangs() { return { then() {} }; }
          @Callback('background', { delivery: 'background' }) background() { return Promise.reject(new Error('behind')); }
          @Callback('optional', { optional: true }) optional() { return Promise.reject(new Error('optional')); }
        }`,
        // Nobody awaits any of them.
        `for (const event of ['sync', 'late', 'undefined', 'twice', 'getter', 'hangs', 'background', 'optional']) {
          events.run(event);
          events.runSettled(event);
          events.runParallel(event);
          events.with({}).run(event);
        }
        events.run(undefined);
        events.runSettled({});`,
      ),
    );
  });

  it('thrown at once, late, without a value, by a thenable twice, or behind a forgotten await', () => {
    expect(ended.output).toContain('STILL ALIVE');
    expect(ended.output).not.toMatch(/UnhandledPromiseRejection|Uncaught/);
  });

  it('nor keeps it from closing, though a callback never settles', () => {
    expect(ended.output).toContain('CLOSED');
    expect(ended.output).toMatch(
      /EVENTS_SHUTDOWN_TIMEOUT|after 50 ms these had not finished: Answers\.hangs \(4 times\)/,
    );
    expect(ended.code).toBe(0);
  });

  it('and none is swallowed: the log names event and callback of each, for each run', () => {
    const lines = (pattern: RegExp) => ended.output.split('\n').filter((line) => pattern.test(line)).length;
    expect(lines(/"sync": Answers\.sync failed: thrown at once$/)).toBe(4);
    expect(lines(/"late": Answers\.late failed: thrown late$/)).toBe(4);
    expect(lines(/"undefined": Answers\.nothing failed: it threw undefined$/)).toBe(4);
    expect(lines(/"twice": Answers\.twice failed: thenable$/)).toBe(4);
    expect(lines(/"getter": Answers\.getter failed: then is a getter$/)).toBe(4);
    expect(lines(/"background": Answers\.background failed: behind$/)).toBe(4);
    expect(lines(/"optional": Answers\.optional failed: optional$/)).toBe(4);
    expect(lines(/EventRunner\].* run\(\) was given/)).toBe(2);
  });
});

describe('A user of events gets', () => {
  let output: string;
  beforeAll(async () => {
    ({ output } = await runInProcess(
      program(
        `@Injectable()
        class Early {
          constructor(events: EventRunner) { events.run('early', 'constructor'); this.events = events; }
          async onModuleInit() { await this.events.run('early', 'onModuleInit'); }
          async onApplicationBootstrap() { await this.events.run('early', 'onApplicationBootstrap'); }
        }
        @Injectable()
        class Answers {
          @Callback('ordered') async one() { await sleep(5); console.log('ordered 1'); }
          @Callback('ordered') two() { console.log('ordered 2'); }
          @Callback('refused') refuse() { throw new ConflictException('taken'); }
          @Callback('refused') never() { console.log('never'); }
          @Callback('early') early(where) { console.log('early ' + where); }
        }
        @Module({ providers: [Answers] })
        class ListsItToo {}`,
        `await events.run('ordered'); console.log('awaited');
        await events.run('refused').catch((error) => console.log('caught', error.getStatus(), error.message));`,
        '[Answers, Early]',
      ).replace('imports: [', 'imports: [ListsItToo, '),
    ));
  });

  it('something to await, in order', () => {
    expect(output.match(/^(ordered \d|awaited)$/gm)).toEqual(['ordered 1', 'ordered 2', 'awaited']);
  });

  it('the error itself, which stops the rest', () => {
    expect(output).toContain('caught 409 taken');
    expect(output).not.toMatch(/^never$/m);
  });

  it('each callback once, though two modules list its class', () => {
    expect(output.match(/^ordered 1$/gm)).toHaveLength(1);
    expect(output).toContain('Answers is provided by ListsItToo and by AppModule');
  });

  it('events of constructors and hooks', () => {
    expect(output.match(/^early .*$/gm)).toEqual([
      'early constructor',
      'early onModuleInit',
      'early onApplicationBootstrap',
    ]);
  });
});
