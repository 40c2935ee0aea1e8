/** `EventDeliveries.pause()` and `resume()`: what an application asks for, is refused, and is told of. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, EventDeliveries, EventsHealth } from 'nestjs-callbacks';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { closeApps, startApp, turn, until } from '../support/app.js';
import { engineWith, startDurable } from './durable-app.js';

const ran: string[] = [];

@Injectable()
class Emails {
  @Callback('user_joined', { delivery: 'durable' }) greet(name: string) {
    ran.push(`greet ${name}`);
  }
  @Callback('user_left', { delivery: 'durable' }) leave(name: string) {
    ran.push(`leave ${name}`);
  }
}

afterEach(async () => {
  await closeApps();
  ran.length = 0;
});

describe('EventDeliveries.pause() and resume()', () => {
  it('hold up a callback until it is resumed, while others go on, and counts() tell since when', async () => {
    const { events, deliveries } = await startDurable([Emails]);
    expect(await deliveries.pause({ callback: 'Emails.greet' })).toBe(1);
    await events.run('user_joined', 'Ada');
    await events.run('user_left', 'Bob');
    await until(() => ran.length === 1);
    for (let turns = 0; turns < 20; turns++) await turn();
    expect(ran).toEqual(['leave Bob']);
    const [greet, leave] = await deliveries.counts();
    expect(greet).toMatchObject({ waiting: 1, isKnown: true, pausedSince: expect.any(Date) });
    expect(leave).not.toHaveProperty('pausedSince');
    expect(await deliveries.resume({ callback: 'Emails.greet' })).toBe(1);
    await until(() => ran.includes('greet Ada'));
    expect((await deliveries.counts())[0]).not.toHaveProperty('pausedSince');
  });

  it('mean all callbacks with {}, those of an event with that, and tell how many have changed', async () => {
    const { deliveries } = await startDurable([Emails]);
    expect(await deliveries.pause({ event: 'user_left' })).toBe(1);
    expect(await deliveries.pause({})).toBe(1);
    expect(await deliveries.pause({})).toBe(0);
    expect(await deliveries.resume({})).toBe(2);
    expect(await deliveries.resume({})).toBe(0);
  });

  it.each(['pause', 'resume'] as const)('refuse what is mistaken, before anything is done: %s()', async (method) => {
    const { deliveries } = await startDurable([Emails]);
    const call = (selection: unknown) => deliveries[method](selection as { callback?: string });
    const refused = (message: string) => ({ code: 'EVENTS_QUERY_INVALID', message });
    await expect(call({ callback: undefined })).rejects.toMatchObject(
      refused(
        `EventDeliveries.${method}() was given callback: undefined. Pass a string, or leave the field out if all are meant.`,
      ),
    );
    await expect(call({ callback: 'Emails.gret' })).rejects.toMatchObject(
      refused(
        `EventDeliveries.${method}() was given callback: 'Emails.gret', to which no deliveries go. Did you mean "Emails.greet"?`,
      ),
    );
    await expect(call({ event: 'user_leaft' })).rejects.toMatchObject(
      refused(
        `EventDeliveries.${method}() was given event: 'user_leaft', of which no deliveries go. Did you mean "user_left"?`,
      ),
    );
    await expect(call({ callback: 'Emails.greet', ids: [] })).rejects.toMatchObject({ code: 'EVENTS_QUERY_INVALID' });
    await expect(call(undefined)).rejects.toMatchObject({ code: 'EVENTS_QUERY_INVALID' });
    expect((await deliveries.counts()).some(({ pausedSince }) => pausedSince)).toBe(false);
  });

  it('are refused by an engine that cannot, whose callbacks work as ever', async () => {
    const engine = engineWith(() => ({
      capabilities: { transactions: false, order: true },
      pause: undefined,
      resume: undefined,
    }));
    const { deliveries, events } = await startDurable([Emails], { engine });
    for (const method of ['pause', 'resume'] as const) {
      await expect(deliveries[method]({})).rejects.toMatchObject({
        code: 'EVENTS_ENGINE_UNSUITED',
        message: `The engine memory cannot do EventDeliveries.${method}() here. lib/control.md says which engine can; boot warns of a schema that lacks something.`,
      });
    }
    await events.run('user_joined', 'Ada');
    await until(() => ran.length === 1);
  });

  it('say whether the engine failed, and that calling again does no harm', async () => {
    const engine = engineWith(() => ({ resume: () => Promise.reject(new Error('no connection')) }));
    const { deliveries } = await startDurable([Emails], { engine });
    await expect(deliveries.resume({})).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
      message:
        'The engine memory could not resume callbacks, or did not say so: no connection. Call resume() again, which does no harm.',
    });
  });
});

describe('An application that boots while callbacks are paused', () => {
  const engine = () => memoryEngine({ store });
  let store = new MemoryStore();
  const startPaused = async (selection: { callback?: string }) => {
    store = new MemoryStore();
    const before = await startApp([Emails], { engine: engine() });
    await before.app.get(EventDeliveries).pause(selection);
    await before.events.run('user_joined', 'Ada');
    await before.events.run('user_joined', 'Bob');
    await until(async () => (await before.app.get(EventDeliveries).counts())[0].waiting > 0);
    await before.app.close();
    return startApp([Emails], { engine: engine() });
  };
  const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g;

  it('warns of one: since when, how many deliveries wait, and how it goes on', async () => {
    const { log } = await startPaused({ callback: 'Emails.greet' });
    expect(log.of('warn').map((line) => line.replace(TIME, '<time>'))).toEqual([
      `A callback is paused: Emails.greet of "user_joined" since <time> (2 wait). ` +
        `Call EventDeliveries.resume({ callback: 'Emails.greet' }) to go on.`,
    ]);
    expect(ran).toEqual([]);
  });

  it('warns of several in one line', async () => {
    const { log } = await startPaused({});
    expect(log.of('warn').map((line) => line.replace(TIME, '<time>'))).toEqual([
      `Callbacks are paused: Emails.greet of "user_joined" since <time> (2 wait), Emails.leave of "user_left" since <time> (0 wait). ` +
        `Call EventDeliveries.resume({ callback: … }, or {} for all) to go on.`,
    ]);
  });

  it('says nothing of what waits for another instance, if that waits to be resumed', async () => {
    await startPaused({});
    const { log } = await startApp([Emails], { engine: engine(), work: false });
    expect(log.of('log').filter((line) => line.includes('deliveries wait'))).toEqual([]);
  });

  it('is healthy however long what is paused has been due, and counts it', async () => {
    const { app, events } = await startPaused({ callback: 'Emails.greet' });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const health = app.get(EventsHealth);
    const { events: state } = await health.check('events', { maxOldestMs: 10 });
    expect(state).toEqual({
      status: 'up',
      engine: 'memory',
      waiting: 2,
      delayed: 0,
      running: 0,
      dead: 0,
      isExact: true,
    });
    await app.get(EventDeliveries).resume({});
    await until(() => ran.length === 2);
    await events.run('user_left', 'Cleo');
  });
});
