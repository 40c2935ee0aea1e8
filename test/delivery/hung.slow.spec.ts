/** What is said of a durable callback that hangs, for as long as it does. */
import { afterEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import { closeApps, deferred, until } from '../support/app.js';
import { startDurable } from './durable-app.js';

afterEach(closeApps);

it('C22: a callback that goes on past its time is told of again after ten seconds, and no more when it has settled', async () => {
  const gate = deferred();
  @Injectable()
  class Answers {
    @Callback('x', { delivery: 'durable', timeoutMs: 20, concurrency: 2, retry: { attempts: 1 } }) async go(
      what: string,
    ) {
      if (what === 'hangs') await gate.promise;
      else await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  const { events, log } = await startDurable([Answers]);
  await events.run('x', 'hangs');
  await events.run('x', 'is late');
  const reminders = () => log.of('warn').filter((line) => line.includes('still works on'));
  await until(() => reminders().length > 0);
  gate.resolve();
  expect(reminders()).toEqual([
    expect.stringMatching(
      /^Answers\.go still works on "x" \(delivery [\da-f-]{36}\), after 10 s, and takes one of the 2 places that its concurrency allows\. Heed currentEvent\(\)\.signal\.$/,
    ),
  ]);
});
