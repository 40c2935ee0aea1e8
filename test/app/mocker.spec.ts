/** Automatic mocks, which Nest makes of whatever a module does not provide: none of them gets among the events' own parts. */
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { type INestApplication, Inject, Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';
import { TestEvents, TestEventsModule } from 'nestjs-callbacks/testing';
import { Log } from '../support/app.js';

const apps: INestApplication[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

/** As `createMock()` of @golevelup/ts-jest and its like make one: whatever it is asked for, it has. */
const deepMock = (): object =>
  new Proxy(() => undefined, {
    get: (_, name) => (name === 'then' || typeof name === 'symbol' ? undefined : deepMock()),
    apply: () => deepMock(),
  });

class Mailer {
  send(_to: string): unknown {
    throw new Error('not mocked');
  }
}

@Injectable()
class Emails {
  constructor(
    @Inject(Mailer) readonly mailer: Mailer,
    @Inject(EventRunner) readonly events: EventRunner,
  ) {}
  @Callback('user_joined') greet(name: string) {
    this.mailer.send(name);
  }
  @Callback('failing', { optional: true }) fail() {
    throw new Error('mailbox full');
  }
}

const MOCKERS: [string, () => object | undefined][] = [
  ['an object', () => ({ send: jest.fn() })],
  ['a function', () => Object.assign(jest.fn(), { send: jest.fn() })],
  ['one that has whatever it is asked for', deepMock],
];

async function start(imports: object[], mock: () => object | undefined) {
  const log = new Log();
  const testing = await Test.createTestingModule({ imports: imports as [], providers: [Emails] })
    .useMocker(mock)
    .setLogger(log)
    .compile();
  const app = testing.createNestApplication();
  apps.push(app);
  await app.init();
  return { app, log };
}

describe.each(MOCKERS)('useMocker() that answers with %s', (_, mock) => {
  it.each<[string, () => object[]]>([
    ['EventsModule', () => [EventsModule]],
    ['EventsModule with options', () => [EventsModule.forRoot({ strict: true })]],
    [
      'EventsModule with options that need others',
      () => [EventsModule.forRootAsync({ useFactory: () => ({ strict: true }) })],
    ],
    ['EventsModule and its test kit', () => [EventsModule, TestEventsModule]],
  ])('A9: leaves %s as it is', async (_name, imports) => {
    const { app, log } = await start(imports(), mock);
    await app.get(EventRunner).run('user_joined', 'Ada');
    await app.get(EventRunner).run('failing');
    expect(log.of('error').map((line) => line.split('\n')[0])).toEqual(['"failing": Emails.fail failed: mailbox full']);
    if (imports().includes(TestEventsModule)) expect(app.get(TestEvents).runs).toHaveLength(2);
  });

  it('A9: mocks the runner where there is no EventsModule', async () => {
    const { app } = await start([], mock);
    expect(app.get(Emails).events).not.toBeInstanceOf(EventRunner);
  });
});
