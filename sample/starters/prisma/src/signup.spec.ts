import { Test, type TestingModule } from '@nestjs/testing';
import { EventRunner, inTransaction } from 'nestjs-callbacks';
import { TestEvents, TestEventsModule } from 'nestjs-callbacks/testing';
import 'nestjs-callbacks/testing/vitest'; // the matchers
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AppModule } from './app.module.js';
import { Database } from './database.js';
import { SignupController } from './signup.controller.js';

let app: TestingModule;
let events: TestEvents;
beforeEach(async () => {
  app = await Test.createTestingModule({ imports: [AppModule, TestEventsModule] }).compile();
  await app.init();
  events = app.get(TestEvents);
  const earlier = { email: { in: ['ada@example.org', 'bob@example.org'] } };
  await app.get(Database).user.deleteMany({ where: earlier });
});
afterEach(() => app.close());

it('greets who signs up', async () => {
  await app.get(SignupController).signUp({ name: 'Ada', email: 'ada@example.org' });
  await events.settled(); // waits for what is durable

  expect(events).toHaveRun('user_joined', 'Ada', 'ada@example.org');
  expect(events).toHaveCalled('Emails.greetNewUser');
});

it('greets nobody whose sign-up is rolled back', async () => {
  const signUp = inTransaction(
    (work) => app.get(Database).$transaction(work),
    async () => {
      await app.get(EventRunner).run('user_joined', 'Ada', 'ada@example.org');
      throw new Error('no more room');
    },
  );
  await expect(signUp).rejects.toThrow('no more room');
  await events.settled();

  expect(events).not.toHaveCalled('Emails.greetNewUser');
});

it('tries again while the mail server is down', async () => {
  events.fail('Emails.greetNewUser', { attempt: [1, 2], error: new Error('down') });
  await app.get(SignupController).signUp({ name: 'Bob', email: 'bob@example.org' });
  await events.settled(); // the delays between the attempts pass at once

  expect(events).toHaveFailed('Emails.greetNewUser', 'down');
  expect(events.callsOf('Emails.greetNewUser')).toHaveLength(3);
});
