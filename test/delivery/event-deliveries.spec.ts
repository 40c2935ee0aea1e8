/** What `EventDeliveries` promises on any engine: lists, retries and discards, and arguments that are checked. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import type { RetriedPortion } from 'nestjs-callbacks/engine';
import { closeApps } from '../support/app.js';
import { engineWith, startDurable } from './durable-app.js';

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
      "list() was given state: 'failed'. Pass 'waiting', 'running', 'dead' or 'completed'.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ limit: 0 }),
      'list() was given limit: 0. Pass a whole number from 1 to 1000.',
    ],
    [
      'list',
      (deliveries) => deliveries.list({ after: 'x' }),
      "list() was given after: 'x'. Pass the `after` of the page before, as it is.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ after: { cursor: 'x' } }),
      'list() was given after: { cursor }. Pass the `after` of the page before, as it is.',
    ],
    [
      'list',
      (deliveries) => deliveries.list({ order: 'last' }),
      "list() was given order: 'last'. Pass 'oldest' or 'newest'.",
    ],
    ['list', (deliveries) => deliveries.list({ key: 5 }), 'list() was given key: 5. Pass a string.'],
    [
      'list',
      (deliveries) => deliveries.list({ errorText: '' }),
      "list() was given errorText: ''. Pass a string that is not empty.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ headers: {} }),
      "list() was given headers: {}. Pass an object with one header at least: { tenant: 'acme' }.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ headers: { tenant: 5 } }),
      'list() was given the header tenant: 5. Pass a string, or leave the header out.',
    ],
    [
      'list',
      (deliveries) => deliveries.list({ storedAfter: new Date('yesterday') }),
      'list() was given storedAfter: Invalid Date. Pass a Date that is a time.',
    ],
    [
      'list',
      (deliveries) => deliveries.list({ endedBefore: '2026-11-28' }),
      "list() was given endedBefore: '2026-11-28'. Pass a Date that is a time.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ storedAfter: new Date(2), storedBefore: new Date(1) }),
      'list() was given storedAfter: 1970-01-01T00:00:00.002Z and storedBefore: 1970-01-01T00:00:00.001Z. No time is between them: pass the earlier one as the first.',
    ],
    [
      'list',
      (deliveries) => deliveries.list({ state: 'waiting', endedAfter: new Date(1) }),
      "list() was given endedAfter with state: 'waiting'. Only dead and completed deliveries have ended.",
    ],
    [
      'discard',
      (deliveries) => deliveries.discard({ state: 'waiting', endedAfter: new Date(1) }),
      "discard() was given endedAfter with state: 'waiting'. Only dead and completed deliveries have ended.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ state: 'completed', errorText: 'down' }),
      "list() was given errorText with state: 'completed'. A completed delivery has succeeded: leave it out.",
    ],
    [
      'list',
      (deliveries) =>
        deliveries.list({ callback: 'Emails.greet', ids: Array.from({ length: 1_001 }, () => randomUUID()), key: 'a' }),
      'list() was given 1001 ids beside other fields. Pass 1000 ids at a time.',
    ],
    [
      'retry',
      (deliveries) => deliveries.retry({ errorCode: undefined }),
      'retry() was given errorCode: undefined. Pass a string that is not empty, or leave the field out.',
    ],
    [
      'discard',
      (deliveries) => deliveries.discard({ state: 'running' }),
      "discard() was given state: 'running'. Pass 'waiting' or 'dead', or leave the field out if both are meant.",
    ],
    [
      'list',
      (deliveries) => deliveries.list({ calback: 'x' }),
      'list() was given calback: \'x\'. Did you mean "callback"?',
    ],
    [
      'repeat',
      (deliveries) => deliveries.repeat({ callback: 'Emails.greet' }),
      'repeat() was given no ids. Say which deliveries are meant: repeat({ callback: …, ids: [ … ] }).',
    ],
    [
      'retry',
      (deliveries) => deliveries.retry({ ids: [''] }),
      "retry() was given ids: [ '' ]. Pass an array of delivery ids, each a line of 1 to 255 characters.",
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
    ['retry', (deliveries) => deliveries.retry(), 'retry() was given undefined. Pass an object.'],
    [
      'retry',
      (deliveries) => deliveries.retry({ callback: undefined }),
      'retry() was given callback: undefined. Pass a string, or leave the field out if all are meant.',
    ],
    [
      'retry',
      (deliveries) => deliveries.retry({ event: undefined, callback: 'Emails.greet' }),
      'retry() was given event: undefined. Pass a string, or leave the field out if all are meant.',
    ],
    [
      'retry',
      (deliveries) => deliveries.retry({ callback: 'Emails.greet', ids: undefined }),
      'retry() was given ids: undefined. Pass an array of delivery ids, each a line of 1 to 255 characters.',
    ],
    [
      'list',
      (deliveries) => deliveries.list({ callback: 'Emails.greet', ids: undefined }),
      'list() was given ids: undefined. Pass an array of delivery ids, each a line of 1 to 255 characters.',
    ],
    ...['list', 'retry', 'discard'].map((method): [string, (deliveries: any) => Promise<unknown>, string] => [
      method,
      (deliveries) => deliveries[method]({ ids: [randomUUID()] }),
      `${method}() was given ids without a callback. An id names all deliveries of a run. Say which one is meant: ${method}({ callback: …, ids: [ … ] }).`,
    ]),
    [
      'discard',
      (deliveries) => deliveries.discard({}),
      "discard() was given {}. Say which deliveries to remove: discard({ callback: … }), or discard({ state: 'dead' }) for all dead ones.",
    ],
    ['discard', (deliveries) => deliveries.discard(), 'discard() was given undefined. Pass an object.'],
  ])('%#. %s refuses what it cannot do', async (_, call, message) => {
    const { deliveries } = await startDurable([Emails]);
    await expect(call(deliveries)).rejects.toMatchObject({
      code: 'EVENTS_QUERY_INVALID',
      message: `EventDeliveries.${message}`,
    });
  });

  it('counts, and tells since when the oldest that waits is due', async () => {
    const { events, deliveries } = await startDurable([Emails], { work: false });
    const oldest = async () => (await deliveries.counts()).map(({ waiting, oldestDueAt }) => [waiting, oldestDueAt]);
    expect(await oldest()).toEqual([[0, undefined]]);
    await events.run('x');
    const [{ since }] = (await deliveries.list({ state: 'waiting' })).found;
    expect(await oldest()).toEqual([[1, since]]);
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
    const { found: first, after } = await deliveries.list({ limit: 3 });
    const rest = (await deliveries.list({ limit: 3, after })).found;
    expect([first.length, rest.length]).toEqual([3, 2]);
    expect(await deliveries.discard({ callback: 'Failing.go', ids: [first[0].id, rest[0].id] })).toBe(2);
    expect(await deliveries.retry({})).toBe(3);
    await done();
    expect(ran).toHaveLength(8);
  });

  it('C32: one delivery of a run is discarded or retried, and the others of that run are left', async () => {
    @Injectable()
    class Three {
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) fail() {
        ran.push('fail');
        throw new Error('always');
      }
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) failToo() {
        ran.push('failToo');
        throw new Error('always');
      }
      @Callback('x', { delivery: 'durable' }) succeed() {}
    }
    const { events, deliveries, done } = await startDurable([Three]);
    const id = randomUUID();
    await events.with({ id }).run('x');
    await done();
    const states = async () => (await deliveries.list()).found.map((one) => [one.id, one.callback]);
    expect(await states()).toEqual([
      [id, 'Three.fail'],
      [id, 'Three.failToo'],
    ]);
    expect(await deliveries.retry({ callback: 'Three.failToo', ids: [id] })).toBe(1);
    await done();
    expect(ran).toEqual(['fail', 'failToo', 'failToo']);
    expect(await deliveries.discard({ callback: 'Three.fail', ids: [id] })).toBe(1);
    expect(await states()).toEqual([[id, 'Three.failToo']]);
  });

  /** Retries one portion after the other, each as the engine does it. */
  const startWith = (...portions: (() => Promise<RetriedPortion>)[]) =>
    startDurable([Emails], { engine: engineWith(() => ({ retry: () => portions.shift()!() })) });

  const full = async () => ({ count: 400, after: 'there' });

  it('retries in portions, and tells after each how many were done', async () => {
    const { deliveries } = await startWith(full, full, async () => ({ count: 3 }));
    const progress: number[] = [];
    expect(await deliveries.retry({}, { onProgress: (done) => progress.push(done) })).toBe(803);
    expect(progress).toEqual([400, 800, 803]);
  });

  it('gives the engine 400 ids at a time', async () => {
    const given: number[] = [];
    const { deliveries } = await startDurable([Emails], {
      engine: engineWith(() => ({
        retry: async ({ ids }) => ({ count: given.push(ids!.length) }),
        discard: async ({ ids }) => ({ count: given.push(ids!.length) }),
      })),
    });
    const ids = Array.from({ length: 1_000 }, () => randomUUID());
    await deliveries.retry({ callback: 'Emails.greet', ids: [...ids, ids[0]] });
    await deliveries.discard({ callback: 'Emails.greet', ids });
    expect(given).toEqual([400, 400, 200, 400, 400, 200]);
  });

  it('stops after the portion under way when the signal is aborted', async () => {
    const { deliveries } = await startWith(full, full, full);
    const stopping = new AbortController();
    const onProgress = (done: number) => done === 800 && stopping.abort();
    expect(await deliveries.retry({}, { signal: stopping.signal, onProgress })).toBe(800);
    expect(await deliveries.retry({}, { signal: AbortSignal.abort() })).toBe(0);
  });

  it('says how many were done when the engine fails half-way', async () => {
    const broken = new Error('the line is dead');
    const { deliveries } = await startWith(full, () => Promise.reject(broken));
    await expect(deliveries.retry({})).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
      message:
        'The engine memory failed after 400 deliveries were retried, perhaps more: the line is dead. Call retry() again for the rest.',
      cause: broken,
    });
  });

  it.each([
    [{ onProgres() {} }, 'retry() was given onProgres: the function onProgres. Did you mean "onProgress"?'],
    [{ signal: 1 }, 'retry() was given signal: 1. Pass an AbortSignal.'],
  ])('%#. refuses what does not watch', async (watching, message) => {
    const { deliveries } = await startDurable([Emails]);
    await expect(deliveries.retry({}, watching as never)).rejects.toThrow(`EventDeliveries.${message}`);
  });
});
