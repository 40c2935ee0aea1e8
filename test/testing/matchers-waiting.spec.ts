/** What matchers say of a callback that is yet to be called: they cannot wait, and name what can. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';
import { memoryEngine, TestEvents, TestEventsModule, type TestEventsOptions } from 'nestjs-callbacks/testing';
import 'nestjs-callbacks/testing/jest';
import { complaint } from '../support/test-kit.js';

const apps: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

@Injectable()
class Emails {
  @Callback('user_joined', { delivery: 'durable' }) greet(_name: string) {}
  @Callback('user_joined', { delivery: 'durable' }) list() {}
  @Callback('user_left', { delivery: 'background' }) part() {}
}
@Module({ imports: [EventsModule.forRoot({ engine: memoryEngine() })], providers: [Emails] })
class AppModule {}

async function start(options: TestEventsOptions = {}) {
  const testing = await Test.createTestingModule({ imports: [AppModule, TestEventsModule.forRoot(options)] }).compile();
  const app = await testing.init();
  apps.push(app);
  return { events: app.get(TestEvents), run: app.get(EventRunner) };
}

const WAITS = '1 delivery waits: await events.settled() first.';

describe.each<TestEventsOptions>([{}, { keepsEngine: true }])('With %j, a matcher', (options) => {
  it('D1: names a delivery that waits for the callback', async () => {
    const { events, run } = await start(options);
    await run.run('user_joined', 'Ada');
    expect(await complaint(() => expect(events).toHaveCalled('Emails.greet', 'Ada'))).toBe(
      `expect(events).toHaveCalled("Emails.greet", "Ada")\n\nNothing was called.\n\n${WAITS}`,
    );
    expect(await complaint(() => expect(events).toHaveFailed('Emails.greet'))).toContain(
      `It was not called.\n\n${WAITS}`,
    );

    await events.settled();
    expect(events).toHaveCalled('Emails.greet', 'Ada');
    expect(await complaint(() => expect(events).toHaveCalled('Emails.greet', 'Eve'))).not.toContain('waits');

    await run.run('user_joined', 'Eve');
    await run.run('user_joined', 'Bob');
    expect(await complaint(() => expect(events).toHaveCalled('Emails.greet', 'Eve'))).toContain(
      '2 deliveries wait: await events.settled() first.',
    );
    await events.settled();
  });

  it('D1: names a callback in the background that has not begun', async () => {
    const { events, run } = await start(options);
    await run.run('user_left');
    expect(await complaint(() => expect(events).toHaveCalled('Emails.part'))).toContain(
      'What still waits: Emails.part (background, not begun). Await events.settled() first.',
    );
  });

  it('D1: says nothing of other callbacks, nor where nothing was run', async () => {
    const { events, run } = await start(options);
    expect(await complaint(() => expect(events).toHaveCalled('Emails.greet'))).not.toContain('wait');
    await run.run('user_joined', 'Ada');
    expect(await complaint(() => expect(events).toHaveCalled('Emails.part'))).not.toContain('wait');
    await events.settled();
  });
});

it('D1: A delivery that is not due yet is named as such', async () => {
  const { events, run } = await start();
  await run.with({ delayMs: 60_000 }).run('user_joined', 'Ada');
  expect(await complaint(() => expect(events).toHaveCalled('Emails.greet'))).toContain(
    '1 delivery is not due yet: move the time, by await events.advance(ms), and then await events.settled().',
  );
});
