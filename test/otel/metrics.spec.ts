/** What `nestjs-callbacks/otel` measures, by a real SDK. */
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import { metrics } from '@opentelemetry/api';
import { Callback, currentEvent, EventDeliveries, EventsInspector } from 'nestjs-callbacks';
import { EventsTelemetryModule } from 'nestjs-callbacks/otel';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { closeApps, until } from '../support/app.js';
import { engineWith, NOW, startDurable } from '../delivery/durable-app.js';
import { Sdk } from './sdk.js';

let sdk: Sdk;
beforeEach(() => {
  sdk = new Sdk();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await closeApps();
  await sdk.stop();
});

@Injectable()
class Emails {
  @Callback('user_joined', { delivery: 'durable', retry: NOW }) greet() {
    if (currentEvent()!.delivery!.attempt < 3) throw new TypeError('no');
  }
}

@Injectable()
class Dying {
  @Callback('user_joined', { delivery: 'durable', retry: { attempts: 1 } }) die() {
    throw new Error('no');
  }
}

type Started = Parameters<typeof startDurable>[1];
const start = (providers: Type[], events?: Started, metrics = true) =>
  startDurable({ providers, imports: [EventsTelemetryModule.forRoot({ metrics })] }, events);

const sending = {
  'messaging.system': 'nestjs_callbacks',
  'messaging.operation.name': 'send',
  'messaging.operation.type': 'send',
  'messaging.destination.name': 'user_joined',
};
const processing = {
  'messaging.system': 'nestjs_callbacks',
  'messaging.operation.name': 'process',
  'messaging.operation.type': 'process',
  'messaging.destination.name': 'user_joined',
  'messaging.destination.subscription.name': 'Emails.greet',
};

describe('The metrics', () => {
  it('count what is sent and what is begun, and measure storing and attempts', async () => {
    const { events, done } = await start([Emails]);
    await events.run('user_joined');
    await events.run('user_joined');
    await done();
    expect(await sdk.points('messaging.client.sent.messages')).toEqual([{ attributes: sending, value: 2 }]);
    expect(await sdk.points('messaging.client.consumed.messages')).toEqual([{ attributes: processing, value: 6 }]);
    expect(await sdk.points('messaging.client.operation.duration')).toEqual([
      { attributes: sending, value: expect.objectContaining({ count: 2 }) },
    ]);
    const durations = await sdk.points('messaging.process.duration');
    expect(durations.map(({ attributes, value }) => [attributes, value.count])).toEqual([
      [{ ...processing, 'error.type': 'TypeError' }, 4],
      [processing, 2],
    ]);
    expect(durations[0].value.buckets.boundaries.slice(0, 2)).toEqual([0.005, 0.01]);
  });

  it('count what could not be sent by why', async () => {
    const engine = engineWith(() => ({ store: () => Promise.reject(new Error('the disk is full')) }));
    const { events } = await start([Emails], { engine });
    await events.run('user_joined').catch(() => {});
    expect(await sdk.points('messaging.client.sent.messages')).toEqual([
      { attributes: { ...sending, 'error.type': 'EVENTS_STORE_FAILED' }, value: 1 },
    ]);
  });

  it('are none where that is said', async () => {
    const { events, done } = await start([Emails], undefined, false);
    await events.run('user_joined');
    await done();
    expect(await sdk.points('messaging.client.sent.messages')).toEqual([]);
    expect(await sdk.points('nestjs_callbacks.deliveries')).toEqual([]);
  });
});

describe('The gauges', () => {
  const of = (callback: string) => ({
    'messaging.system': 'nestjs_callbacks',
    'messaging.destination.name': 'user_joined',
    'messaging.destination.subscription.name': callback,
  });
  const deliveries = async () =>
    (await sdk.points('nestjs_callbacks.deliveries'))
      .filter(({ value }) => value > 0)
      .map(({ attributes, value }) => {
        const { 'nestjs_callbacks.state': state, ...rest } = attributes as Record<string, unknown>;
        return [rest, state, value];
      });

  it('show how many deliveries each callback has in each state, and how long the oldest has waited', async () => {
    const { events, counted } = await start([Emails, Dying], { durable: { concurrency: 1 } });
    await events.run('user_joined');
    await until(async () => (await counted('dead')) === 1);
    await events.with({ delayMs: 3_600_000 }).run('user_joined');

    expect(await deliveries()).toEqual(
      expect.arrayContaining([
        [of('Emails.greet'), 'delayed', 1],
        [of('Dying.die'), 'dead', 1],
        [of('Dying.die'), 'delayed', 1],
      ]),
    );
    const ages = await sdk.points('nestjs_callbacks.deliveries.oldest.age');
    expect(ages).toEqual([
      { attributes: of('Emails.greet'), value: 0 },
      { attributes: of('Dying.die'), value: 0 },
    ]);
  });

  it('say how long the one has been due that has waited longest', async () => {
    const store = new MemoryStore();
    const { app, events } = await start([Emails], { engine: memoryEngine({ store }) });
    // Read before by nobody, so that it is read now.
    const oldestDueAt = new Date(Date.now() - 90_000);
    const counts = await app.get(EventDeliveries).counts();
    jest
      .spyOn(app.get(EventDeliveries), 'counts')
      .mockResolvedValue(counts.map((one) => ({ ...one, waiting: 1, oldestDueAt })));
    expect(events).toBeDefined();
    const [{ value }] = await sdk.points('nestjs_callbacks.deliveries.oldest.age');
    expect(value).toBeGreaterThanOrEqual(90);
    expect(value).toBeLessThan(150);
  });

  it('are read by one instance, at most every 15 s, however often metrics are collected', async () => {
    const store = new MemoryStore();
    const engine = memoryEngine({ store });
    const apps = [await start([Emails], { engine }), await start([Emails], { engine })];
    const reading = apps.map(({ app }) => jest.spyOn(app.get(EventDeliveries), 'counts'));
    await sdk.points('nestjs_callbacks.deliveries');
    await sdk.points('nestjs_callbacks.deliveries');
    expect(reading.map((one) => one.mock.calls.length)).toEqual([1, 0]);

    const now = performance.now();
    jest.spyOn(performance, 'now').mockReturnValue(now + 15_001);
    await sdk.points('nestjs_callbacks.deliveries');
    expect(reading.map((one) => one.mock.calls.length)).toEqual([2, 0]);
    jest.mocked(performance.now).mockRestore();

    // The other takes over.
    await apps[0].app.close();
    await until(async () => {
      await sdk.points('nestjs_callbacks.deliveries');
      return reading[1].mock.calls.length > 0;
    });
    expect(reading[0].mock.calls.length).toBe(2);
  });

  it('keep nobody waiting for a store that hangs, and ask it no more meanwhile', async () => {
    const { app } = await start([Emails]);
    const reading = jest.spyOn(app.get(EventDeliveries), 'counts').mockReturnValue(new Promise(() => {}));
    metrics.getMeter('test').createCounter('of.others').add(1);
    expect(await sdk.points('of.others')).toHaveLength(1);
    const now = performance.now();
    jest.spyOn(performance, 'now').mockReturnValue(now + 60_000);
    expect(await sdk.points('nestjs_callbacks.deliveries')).toEqual([]);
    expect(reading).toHaveBeenCalledTimes(1);
  });

  it('show what was there before the store went away, and have the oldest grow older', async () => {
    const { app } = await start([Emails]);
    const reading = jest.spyOn(app.get(EventDeliveries), 'counts');
    const [count] = await app.get(EventDeliveries).counts();
    const oldestDueAt = new Date(Date.now() - 60_000);
    reading.mockResolvedValue([{ ...count, waiting: 2, oldestDueAt }]);
    const ageNow = async () => (await sdk.points('nestjs_callbacks.deliveries.oldest.age'))[0].value as number;
    expect(await ageNow()).toBeLessThan(3_000);
    reading.mockRejectedValue(new Error('away'));
    jest.spyOn(app.get(EventsInspector), 'hasDuty', 'get').mockReturnValue(false);
    const [now, date] = [performance.now(), Date.now()];
    jest.spyOn(performance, 'now').mockReturnValue(now + 3_600_000);
    jest.spyOn(Date, 'now').mockReturnValue(date + 3_600_000);
    expect(await ageNow()).toBeGreaterThan(3_600);
    expect(await deliveries()).toEqual([[of('Emails.greet'), 'waiting', 2]]);
  });

  it('show zeros where another instance has the duty now, as an SDK shows for ever what it was told last', async () => {
    const { app } = await start([Emails]);
    const reading = jest.spyOn(app.get(EventDeliveries), 'counts');
    const [count] = await app.get(EventDeliveries).counts();
    reading.mockResolvedValue([{ ...count, dead: 3 }]);
    expect(await deliveries()).toEqual([[of('Emails.greet'), 'dead', 3]]);
    jest.spyOn(app.get(EventsInspector), 'hasDuty', 'get').mockReturnValue(false);
    // It may be that the store is away.
    expect(await deliveries()).toHaveLength(1);
    const now = performance.now();
    jest.spyOn(performance, 'now').mockReturnValue(now + 15_001);
    expect(await deliveries()).toEqual([]);
    expect((await sdk.points('nestjs_callbacks.deliveries')).map(({ value }) => value)).toEqual([0, 0, 0, 0]);
  });

  it('are read by no instance that does not work, nor after closing', async () => {
    const { app } = await start([Emails], { work: false });
    const reading = jest.spyOn(app.get(EventDeliveries), 'counts');
    expect(await sdk.points('nestjs_callbacks.deliveries')).toEqual([]);
    await app.close();
    expect(await sdk.points('nestjs_callbacks.deliveries')).toEqual([]);
    expect(reading).not.toHaveBeenCalled();
  });
});
