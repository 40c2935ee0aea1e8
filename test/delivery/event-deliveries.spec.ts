/** What `EventDeliveries` promises on any engine: lists, retries and discards, and arguments that are checked. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import { closeApps } from '../support/app.js';
import { startDurable } from './durable-app.js';

let ran: unknown[];

beforeEach(() => {
  ran = [];
});

afterEach(closeApps);

describe('EventDeliveries', () => {
  @Injectable()
  class Emails {
    @Callback('x', { delivery: 'durable' }) greet() {}
  }

  it.each<[string, (deliveries: any) => Promise<unknown>, string]>([
    [
      'list',
      (deliveries) => deliveries.list({ state: 'failed' }),
      "list() was given state: 'failed'. Pass 'waiting', 'running' or 'dead'.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ limit: 0 }),
      'list() was given limit: 0. Pass a whole number from 1 to 1000.',
    ],
    [
      'list',
      (deliveries) => deliveries.list({ after: 'x' }),
      "list() was given after: 'x'. Pass the last delivery of the page before.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ calback: 'x' }),
      'list() was given calback: \'x\'. Did you mean "callback"?',
    ],
    [
      'retry',
      (deliveries) => deliveries.retry({ ids: ['1'] }),
      "retry() was given ids: [ '1' ]. Pass an array of delivery ids.",
    ],
    ['retry', (deliveries) => deliveries.retry(null), 'retry() was given null. Pass an object.'],
    [
      'retry',
      (deliveries) => deliveries.retry({ callback: 'Emails.gret' }),
      'retry() was given callback: \'Emails.gret\', to which no deliveries go. Did you mean "Emails.greet"?',
    ],
    [
      'retry',
      (deliveries) => deliveries.retry({ callback: 'Bot' }),
      "retry() was given callback: 'Bot', to which no deliveries go. Call counts() for those that have some.",
    ],
    [
      'discard',
      (deliveries) => deliveries.discard({ callback: 'Emails.greet' }),
      'discard() was given no ids. Say which deliveries to remove: discard({ ids: [ … ] }).',
    ],
    [
      'discard',
      (deliveries) => deliveries.discard(undefined as never),
      'discard() was given no ids. Say which deliveries to remove: discard({ ids: [ … ] }).',
    ],
  ])('%#. %s refuses what it cannot do', async (_, call, message) => {
    const { deliveries } = await startDurable([Emails]);
    await expect(call(deliveries)).rejects.toMatchObject({
      code: 'EVENTS_QUERY_INVALID',
      message: `EventDeliveries.${message}`,
    });
  });

  it('lists page by page, retries and discards', async () => {
    @Injectable()
    class Failing {
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) go() {
        ran.push('go');
        throw new Error('always');
      }
    }
    const { events, deliveries, done } = await startDurable([Failing]);
    for (let i = 0; i < 5; i++) await events.run('x');
    await done();
    const first = await deliveries.list({ limit: 3 });
    const rest = await deliveries.list({ limit: 3, after: first.at(-1) });
    expect([first.length, rest.length]).toEqual([3, 2]);
    expect(await deliveries.discard({ ids: [first[0].id, rest[0].id] })).toBe(2);
    expect(await deliveries.retry()).toBe(3);
    await done();
    expect(ran).toHaveLength(8);
  });
});
