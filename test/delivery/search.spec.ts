/** Searching deliveries, and what is done with what is found, through `EventDeliveries`. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import type { DeliveryFilter, DiscardPortion } from 'nestjs-callbacks/engine';
import { closeApps } from '../support/app.js';
import { engineWith, startDurable } from './durable-app.js';

afterEach(closeApps);

const down = Object.assign(new Error('The mail server is down'), { code: 'EDOWN' });

@Injectable()
class Emails {
  @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) greet(what: string) {
    if (what === 'down') throw down;
    if (what === 'wrong') throw new Error('no such address');
  }
}

describe('EventDeliveries', () => {
  async function started() {
    const { events, deliveries, done } = await startDurable([Emails]);
    for (const what of ['down', 'fine', 'wrong']) {
      await events.with({ key: what, headers: { tenant: what === 'wrong' ? 'globex' : 'acme' } }).run('x', what);
    }
    await done();
    return { events, deliveries, done };
  }

  it('lists what fits every field given; in names of headers, case does not matter', async () => {
    const { deliveries } = await started();
    const found = async (query: Parameters<typeof deliveries.list>[0]) =>
      (await deliveries.list(query)).found.map(({ arguments: [what] }) => what);
    expect(await found({ headers: { Tenant: 'acme' } })).toEqual(['down']);
    expect(await found({ errorText: 'mail SERVER' })).toEqual(['down']);
    expect(await found({ errorCode: 'EDOWN', key: 'wrong' })).toEqual([]);
    expect(await found({ order: 'newest' })).toEqual(['wrong', 'down']);
    expect(await found({ state: 'completed', headers: { tenant: 'acme' } })).toEqual(['fine']);
    expect(await found({ storedBefore: new Date(Date.now() - 60_000) })).toEqual([]);
  });

  it('says how much it has looked at, and where to go on', async () => {
    const { deliveries } = await started();
    const first = await deliveries.list({ limit: 1 });
    expect(first).toMatchObject({ found: [{ arguments: ['down'] }], scanned: 1, after: expect.any(String) });
    const { found, ...page } = await deliveries.list({ limit: 1, after: first.after });
    expect([found.map(({ arguments: [what] }) => what), page]).toEqual([['wrong'], { scanned: 1 }]);
  });

  it('retries and discards what fits', async () => {
    const { deliveries, done } = await started();
    expect(await deliveries.retry({ errorCode: 'EDOWN' })).toBe(1);
    await done();
    const dead = async () =>
      (await deliveries.list()).found.map(({ arguments: [what], history }) => [what, history?.length]);
    expect(await dead()).toEqual([
      ['down', 2],
      ['wrong', 1],
    ]);
    expect(await deliveries.discard({ errorText: 'address' })).toBe(1);
    expect(await dead()).toEqual([['down', 2]]);
    expect(await deliveries.discard({ state: 'waiting' })).toBe(0);
    expect(await deliveries.discard({ callback: 'Emails.greet' })).toBe(1);
    expect(await dead()).toEqual([]);
  });

  it('discards first what waits, then what is dead; only that, where a field says so', async () => {
    const asked: [DeliveryFilter, DiscardPortion][] = [];
    const { deliveries } = await startDurable([Emails], {
      engine: engineWith(() => ({
        discard: async (filter, portion) => {
          asked.push([filter, portion]);
          return { count: 1, ...(portion.after === undefined && portion.state === 'waiting' && { after: 'there' }) };
        },
      })),
    });
    const callback = 'Emails.greet';
    expect(await deliveries.discard({ callback })).toBe(3);
    await deliveries.discard({ callback, endedAfter: new Date(0) });
    await deliveries.discard({ callback, state: 'dead' });
    expect(asked.map(([, { state, after }]) => ({ state, ...(after && { after }) }))).toEqual([
      { state: 'waiting' },
      { state: 'waiting', after: 'there' },
      { state: 'dead' },
      { state: 'dead' },
      { state: 'dead' },
    ]);
    expect(asked.every(([filter]) => !('state' in filter) && filter.callback === callback)).toBe(true);
  });

  it('refuses what an engine cannot search for, and lists, retries and discards by callback and ids all the same', async () => {
    const { deliveries, events } = await startDurable([Emails], {
      engine: engineWith(() => ({ capabilities: { transactions: false, order: true } })),
      work: false,
    });
    await events.run('x', 'fine');
    const callback = 'Emails.greet';
    const { found } = await deliveries.list({ callback, state: 'waiting' });
    expect(await deliveries.retry({ callback })).toBe(0);
    expect(await deliveries.discard({ callback, ids: [found[0].id] })).toBe(1);
    const refused = (what: string) => ({
      code: 'EVENTS_ENGINE_UNSUITED',
      message: expect.stringMatching(`^The engine memory cannot do EventDeliveries\\.${what} here\\. `),
    });
    await expect(deliveries.list({ key: 'a' })).rejects.toMatchObject(refused('list\\(\\) with key'));
    await expect(deliveries.list({ state: 'completed' })).rejects.toMatchObject(
      refused("list\\(\\) with state: 'completed'"),
    );
    await expect(deliveries.list({ order: 'newest' })).rejects.toMatchObject(
      refused("list\\(\\) with order: 'newest'"),
    );
    await expect(deliveries.retry({ errorText: 'down' })).rejects.toMatchObject(refused('retry\\(\\) with errorText'));
    await expect(deliveries.discard({ callback })).rejects.toMatchObject(refused('discard\\(\\) with no ids'));
  });
});
