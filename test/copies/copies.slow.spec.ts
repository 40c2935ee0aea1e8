/** A2: Two copies of the package in one process, as monorepos and mixed versions bring them. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Project } from '../support/child-process.js';

const program = `
  import 'reflect-metadata';
  import { Injectable, Module, UseGuards } from '@nestjs/common';
  import { NestFactory } from '@nestjs/core';
  import { Callback, currentEvent, EventRunner, EventsError, EventsInspector, EventsModule, inTransaction } from './lib/index.js';
  import { memoryEngine } from './lib/testing/index.js';
  import * as other from './other/lib/index.js';

  const joined = other.defineEvent('joined');
  const said = [];
  const say = (what) => said.push(what);

  class Mine {
    @Callback('x') inline() { say('mine'); }
    @Callback('committed', { delivery: 'after-commit' }) committed() { say('after the commit'); }
    @Callback('refusing', { delivery: 'durable', retry: { attempts: 5 } }) refuse() {
      say('refused in attempt ' + currentEvent()?.delivery.attempt + ' ' + other.currentEvent()?.delivery.attempt);
      throw new other.DeliveryRefused('never');
    }
  }
  const guard = { canActivate(context) { say('guard of ' + other.switchToEvent(context)?.callback); return true; } };
  class Theirs {
    @other.Callback('x') inline(name) { say('theirs ' + name); }
    @other.Callback(joined) @UseGuards(guard) join(name) { say('joined ' + name); }
  }
  @Module({ imports: [EventsModule.forRoot({ engine: memoryEngine() })], providers: [Mine, Theirs] })
  class AppModule {}

  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['warn', 'error'] });
  const events = app.get(EventRunner);
  await events.run('x', 'Ada');
  await events.run(joined, 'Ada');

  const open = (work) => work({ query: async () => ({ rows: [] }) });
  await other.inTransaction(open, async () => { await events.run('committed'); say('in it'); });
  await other
    .inTransaction(open, async () => { await events.run('committed'); throw new Error('rolled back'); })
    .catch((error) => say(error.message));

  await events.run('refusing');
  await app.get(EventsInspector).whenIdle({ next: true });
  const refused = await events.run('').catch((error) => error);
  say([refused instanceof other.EventsError, refused instanceof EventsError, new TypeError() instanceof EventsError]);
  await app.close();
  console.log(JSON.stringify(said));
`;

describe('A2: Two copies of the package in one process', () => {
  const project = new Project();
  let output: string;

  beforeAll(async () => {
    project.copy('lib', 'other/lib');
    project.write('other/package.json', JSON.stringify({ name: 'nestjs-callbacks', type: 'module' }));
    project.write('program.ts', program);
    ({ output } = await project.run('program.js'));
  });
  afterAll(() => project.remove());

  it('know of the decorators, definitions, transactions, errors and contexts of each other', () => {
    expect(JSON.parse(output.split('\n').at(-2)!)).toEqual([
      'mine',
      'theirs Ada',
      'guard of Theirs.join',
      'joined Ada',
      'in it',
      'after the commit',
      'rolled back',
      'refused in attempt 1 1',
      [true, true, false],
    ]);
  });

  it('are told of before Nest misses the EventRunner of the other', async () => {
    project.write(
      'missing.ts',
      `
      import 'reflect-metadata';
      import { Injectable, Module } from '@nestjs/common';
      import { NestFactory } from '@nestjs/core';
      import { EventsModule } from './lib/index.js';
      import { EventRunner } from './other/lib/index.js';
      @Injectable() class Signup { constructor(events: EventRunner) {} }
      @Module({ imports: [EventsModule], providers: [Signup] }) class AppModule {}
      await NestFactory.createApplicationContext(AppModule, { abortOnError: false }).catch(() => {});`,
    );
    const missing = await project.run('missing.js');
    expect(missing.output).toMatch(/There are 2 copies .*\n[\s\S]*Nest can't resolve dependencies/);
  });

  it('both give up what they hold when the application does not start', async () => {
    project.write(
      'failing.ts',
      `
      import 'reflect-metadata';
      import { Module } from '@nestjs/common';
      import { NestFactory } from '@nestjs/core';
      import { EventRunner, EventsModule } from './lib/index.js';
      import * as other from './other/lib/index.js';
      const runners = [];
      class Failing {
        constructor(...events) { runners.push(...events); }
        onModuleInit() { throw new Error('not this time'); }
      }
      const failing = { provide: Failing, useFactory: (...events) => new Failing(...events), inject: [EventRunner, other.EventRunner] };
      @Module({ imports: [EventsModule, other.EventsModule], providers: [failing] }) class AppModule {}
      await NestFactory.createApplicationContext(AppModule, { abortOnError: false, logger: false }).catch(() => {});
      console.log(JSON.stringify(await Promise.all(runners.map((events) => events.run('x').catch(({ code }) => code)))));`,
    );
    const { output: printed } = await project.run('failing.js');
    expect(JSON.parse(printed.split('\n').at(-2)!)).toEqual(['EVENTS_CLOSED', 'EVENTS_CLOSED']);
  });

  it('are told of at boot, by their paths', () => {
    expect(output).toMatch(/There are 2 copies of nestjs-callbacks in this process: \S+\/lib, \S+\/other\/lib\./);
    expect(output).toMatch(/Keep one: npm ls nestjs-callbacks/);
  });
});
