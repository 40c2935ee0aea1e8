/** What `delivery: 'background'` promises: nobody waits, so many at once, in order, and losses are told. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, type CallbackFailure } from 'nestjs-callbacks';
import { closeApps, deferred, startApp, turn } from '../support/app.js';

let ran: unknown[];
let gates: ReturnType<typeof deferred>[];
beforeEach(() => {
  ran = [];
  gates = [];
});
afterEach(async () => {
  jest.useRealTimers();
  gates.forEach((gate) => gate.resolve());
  await closeApps();
});

@Injectable()
class Bot {
  @Callback('x', { delivery: 'background' }) async announce(what: unknown) {
    ran.push(what);
    const gate = deferred();
    gates.push(gate);
    await gate.promise;
  }
}

describe('A background callback', () => {
  it('begins after the code that called run() had its turn, and run() does not wait for it', async () => {
    const { events } = await startApp([Bot]);

    await events.run('x', 1);
    ran.push('run resolved');
    await turn();

    expect(ran).toEqual(['run resolved', 1]);
  });

  it('that fails is reported, and the next still run', async () => {
    const failures: CallbackFailure[] = [];
    @Injectable()
    class Broken {
      @Callback('x', { delivery: 'background' }) sync() {
        throw new Error('sync');
      }
      @Callback('x', { delivery: 'background' }) async async() {
        throw new Error('async');
      }
    }
    const { events, log } = await startApp([Broken, Bot], { onError: (failure) => failures.push(failure) });

    await events.run('x', 1);
    await turn();

    expect(ran).toEqual([1]);
    expect(log.of('error').map((line) => line.split('\n')[0])).toEqual([
      '"x": Broken.sync failed: sync',
      '"x": Broken.async failed: async',
    ]);
    expect(failures).toMatchObject([
      { event: 'x', callback: 'Broken.sync', delivery: 'background', arguments: [1], reachesCaller: false },
      { event: 'x', callback: 'Broken.async', delivery: 'background', arguments: [1], reachesCaller: false },
    ]);
  });

  it('waits for its turn when as many run as may, first come first served', async () => {
    const { events } = await startApp([Bot], { background: { concurrency: 2 } });
    for (let i = 1; i <= 5; i++) await events.run('x', i);
    await turn();
    expect(ran).toEqual([1, 2]);

    gates[1].resolve();
    await turn();
    await turn();
    expect(ran).toEqual([1, 2, 3]);

    gates[0].resolve();
    gates[2].resolve();
    await turn();
    await turn();
    expect(ran).toEqual([1, 2, 3, 4, 5]);
  });

  it('is dropped when too many wait: told each time to onError, and in the log once and again when there is room', async () => {
    const failures: CallbackFailure[] = [];
    const { events, log } = await startApp([Bot], {
      background: { concurrency: 1, maxQueued: 1 },
      onError: (failure) => failures.push(failure),
    });
    for (let i = 1; i <= 4; i++) await events.run('x', i);
    await turn();

    const message =
      '"x" was not delivered to Bot.announce: 1 background deliveries are waiting already. ' +
      'Raise background.concurrency or background.maxQueued, or run the event less often.';
    expect(failures).toMatchObject([
      { arguments: [3], error: { code: 'EVENTS_BACKGROUND_FULL', message } },
      { arguments: [4], error: { code: 'EVENTS_BACKGROUND_FULL', message } },
    ]);
    expect(log.of('error')).toHaveLength(1);
    expect(log.of('error')[0]).toContain(message);

    gates[0].resolve();
    await turn();
    await turn();
    await events.run('x', 5);
    gates[1].resolve();
    await turn();
    await turn();

    expect(ran).toEqual([1, 2, 5]);
    expect(log.of('warn')).toEqual([
      'The background has room again: 2 deliveries to Bot.announce were dropped (EVENTS_BACKGROUND_FULL).',
    ]);
  });

  it('whose drops were not told when the application closes is told of then', async () => {
    const { app, events, log } = await startApp([Bot], { background: { concurrency: 1, maxQueued: 0 } });
    for (let i = 1; i <= 4; i++) await events.run('x', i);
    await turn();
    gates[0].resolve();
    await app.close();
    expect(log.of('warn')).toEqual(['3 deliveries to Bot.announce were dropped (EVENTS_BACKGROUND_FULL).']);
  });

  it('A17: does not end in itself, where onError runs an event that needs room as well', async () => {
    let told = 0;
    const run = { again: async () => {} };
    const onError = () => {
      told++;
      return run.again();
    };
    const { app, events, log } = await startApp([Bot], { background: { concurrency: 1, maxQueued: 0 }, onError });
    run.again = () => events.run('x', 0);
    for (let i = 1; i <= 3; i++) await events.run('x', i);
    await turn();
    // Two were dropped, and so was what each of them ran.
    expect(told).toBe(2);
    gates[0].resolve();
    await app.close();
    expect(log.of('warn')).toEqual(['4 deliveries to Bot.announce were dropped (EVENTS_BACKGROUND_FULL).']);
  });

  it('runs in the async context of the run that caused it, whoever makes room for it', async () => {
    const request = new AsyncLocalStorage<string>();
    @Injectable()
    class Logger {
      @Callback('x', { delivery: 'background' }) async log() {
        await turn();
        ran.push(request.getStore());
      }
    }
    const { events } = await startApp([Logger], { background: { concurrency: 1 } });

    await Promise.all(['a', 'b', 'c'].map((id) => request.run(id, () => events.run('x'))));
    for (let i = 0; i < 10; i++) await turn();

    expect(ran).toEqual(['a', 'b', 'c']);
  });

  it('runs under fake timers too', async () => {
    const { events } = await startApp([Bot]);
    const immediate = setImmediate;
    jest.useFakeTimers();
    await events.run('x', 1);
    await new Promise((resolve) => immediate(resolve));
    expect(ran).toEqual([1]);
  });

  it('keeps its order over thousands', async () => {
    @Injectable()
    class Counter {
      @Callback('n', { delivery: 'background' }) count(n: number) {
        ran.push(n);
      }
    }
    const { app, events } = await startApp([Counter], { background: { concurrency: 7 } });
    for (let i = 0; i < 5_000; i++) void events.run('n', i);
    await app.close();
    expect(ran).toEqual(Array.from({ length: 5_000 }, (_, i) => i));
  });
});
