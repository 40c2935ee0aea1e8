/** What a pause is on Redis: BullMQ's own, which dashboards make as well, and a time beside it. */
import { beforeEach, expect, it } from '@jest/globals';
import { Queue } from 'bullmq';
import type { DurableCallback, DurableEngine, NewDelivery } from 'nestjs-callbacks/engine';
import { EventDeliveries } from 'nestjs-callbacks';
import { redis } from 'nestjs-callbacks/redis';
import { uuidv7 } from 'uuidv7';
import { startApp, until } from '../support/app.js';
import { Emails, ran } from '../support/engine-suite.js';
import { describeWith, findRedis } from '../support/servers.js';
import { sceneOn } from './scene.js';

const callbackOf = (callback: string, formerly: string[] = [], isRemote = false): DurableCallback => ({
  event: 'x',
  callback,
  formerly,
  isOrdered: false,
  concurrency: 10,
  isRemote,
});
const deliveryOf = (callback: string): NewDelivery => ({
  event: 'x',
  callback,
  id: uuidv7(),
  arguments: [],
  delayMs: 0,
});
const moment = (ms = 300) => new Promise((resolve) => setTimeout(resolve, ms));

describeWith('On a Redis server (REDIS_URL, or the local one)', await findRedis(), (url) => {
  const scene = sceneOn(url);
  beforeEach(() => {
    ran.length = 0;
  });
  const meta = (callback: string) => `${scene.prefix}:x/${callback}:meta`;
  const isPaused = async (callback: string) => (await scene.client.hexists(meta(callback), 'paused')) === 1;

  /** Instances without an application around them, and what they have performed. */
  async function withEngines(
    work: (open: (...callbacks: DurableCallback[]) => Promise<DurableEngine>, performed: string[]) => Promise<void>,
  ): Promise<void> {
    const engines: DurableEngine[] = [];
    const performed: string[] = [];
    const open = async (...callbacks: DurableCallback[]) => {
      const engine = redis({ ...scene.place, leaseMs: 1_000 })();
      engines.push(engine);
      await engine.start({ instance: 'spec', log() {}, warn() {}, report() {} });
      await engine.declare(callbacks);
      for (const callback of callbacks.filter((one) => !one.isRemote)) {
        engine.work(callback, async (attempt) => {
          performed.push(attempt.delivery.callback);
          await attempt.complete();
        });
      }
      return engine;
    };
    try {
      await work(open, performed);
    } finally {
      for (const engine of engines) await engine.stop();
    }
  }

  it('a dashboard sees what is paused, resumes it, and what it has paused itself is shown and resumed', async () => {
    const { app, events } = await startApp([Emails], scene.options({ leaseMs: 1_000 }));
    const deliveries = app.get(EventDeliveries);
    const since = async () => (await deliveries.counts())[0].pausedSince;
    const queue = new Queue('x/Emails.greet', { connection: { url }, prefix: scene.prefix });
    try {
      expect(await deliveries.pause({ callback: 'Emails.greet' })).toBe(1);
      expect([await queue.isPaused(), (await queue.getMeta()).paused]).toEqual([true, true]);
      await events.run('x', 'first');
      await queue.resume();
      await until(() => ran.includes('first'));
      expect(await since()).toBeUndefined();

      const from = Date.now() - 1;
      await queue.pause();
      await events.run('x', 'second');
      const shown = await since();
      // By the server's clock, which is this machine's.
      expect(shown!.getTime()).toBeGreaterThanOrEqual(from - 5);
      await moment();
      expect(await since()).toEqual(shown);
      expect(await deliveries.pause({})).toBe(0);
      expect(await deliveries.resume({})).toBe(1);
      expect(await queue.isPaused()).toBe(false);
      await until(() => ran.includes('second'));
    } finally {
      await queue.close();
    }
  });

  it('where the events of a queue tell no more when a dashboard has paused it, it is shown as paused before the oldest', async () => {
    const { app } = await startApp([Emails], scene.options());
    const deliveries = app.get(EventDeliveries);
    await scene.client.hset(meta('Emails.greet'), 'paused', '1');
    expect((await deliveries.counts())[0].pausedSince).toEqual(new Date(0));
    const id = await scene.client.xadd(`${scene.prefix}:x/Emails.greet:events`, '*', 'event', 'waiting', 'jobId', '1');
    expect((await deliveries.counts())[0].pausedSince).toEqual(new Date(Number(id!.split('-')[0])));
    expect(await deliveries.resume({})).toBe(1);
  });

  it('when a pause of ours is ended by a dashboard, its time is forgotten as soon as something is due there', async () => {
    await withEngines(async (open, performed) => {
      const engine = await open(callbackOf('A.a'));
      await engine.pause!({});
      const queue = new Queue('x/A.a', { connection: { url }, prefix: scene.prefix });
      await queue.resume();
      await queue.close();
      expect(await scene.client.hexists(meta('A.a'), 'pausedSince')).toBe(1);
      // In one step, so that nobody hears of it but who looks.
      await scene.client
        .multi()
        .rpush(`${scene.prefix}:x/A.a:wait`, 'lost')
        .hset(
          `${scene.prefix}:x/A.a:lost`,
          'data',
          '{"arguments":[]}',
          'name',
          'x',
          'opts',
          '{}',
          'timestamp',
          Date.now(),
        )
        .exec();
      await until(() => performed.length === 1);
      expect(await scene.client.hexists(meta('A.a'), 'pausedSince')).toBe(0);
    });
  });

  it('what completes is not followed by the next of a callback that was paused meanwhile, nor by one put back by hand', async () => {
    await withEngines(async (open) => {
      const begun: string[] = [];
      let go!: () => void;
      const gone = new Promise<void>((resolve) => (go = resolve));
      const callback = { ...callbackOf('A.a'), concurrency: 1 };
      const engine = await open();
      await engine.declare([callback]);
      engine.work(callback, async (attempt) => {
        begun.push(attempt.delivery.id);
        await gone;
        await attempt.complete();
      });
      const deliveries = [deliveryOf('A.a'), deliveryOf('A.a')];
      for (const delivery of deliveries) await engine.store([delivery]);
      await until(() => begun.length === 1);
      await engine.pause!({ callback: 'A.a' });
      go();
      await until(async () => (await engine.counts())[0].running === 0);
      // As who has taken the marker, and has no room, puts it back.
      await scene.client.zadd(`${scene.prefix}:x/A.a:marker`, 0, '0');
      await moment();
      expect(begun).toEqual([deliveries[0].id]);
      await engine.resume!({ callback: 'A.a' });
      await until(() => begun.length === 2);
    });
  });

  it('a callback is paused and resumed with the queues of its former ids, also those that nobody has named', async () => {
    await withEngines(async (open, performed) => {
      const old = await open(callbackOf('A.a'));
      const engine = await open(callbackOf('B.b', ['A.a', 'Aa.a']));
      expect(await engine.pause!({ callback: 'B.b' })).toBe(1);
      expect(await Promise.all(['A.a', 'Aa.a', 'B.b'].map(isPaused))).toEqual([true, true, true]);
      await old.store([deliveryOf('A.a')]);
      await engine.store([deliveryOf('B.b')]);
      await moment();
      expect(performed).toEqual([]);
      expect(await engine.counts()).toMatchObject([{ callback: 'B.b', waiting: 2, pausedSince: expect.any(Date) }]);
      expect(await engine.resume!({ callback: 'B.b' })).toBe(1);
      expect(await Promise.all(['A.a', 'Aa.a', 'B.b'].map(isPaused))).toEqual([false, false, false]);
      await until(() => performed.length === 2);
    });
  });

  it('a callback that is new is paused if a former one is, since then, and one that has been here is not', async () => {
    await withEngines(async (open) => {
      const old = await open(callbackOf('A.a'));
      await old.pause!({});
      // Another application has told of it first.
      await open(callbackOf('B.b', [], true));
      expect(await isPaused('B.b')).toBe(false);
      const engine = await open(callbackOf('B.b', ['A.a']));
      expect(await isPaused('B.b')).toBe(true);
      const times = ['A.a', 'B.b'].map((callback) => scene.client.hget(meta(callback), 'pausedSince'));
      const [one, other] = await Promise.all(times);
      expect(other).toBe(one);
      await engine.resume!({});
      await old.pause!({ callback: 'A.a' });
      await open(callbackOf('B.b', ['A.a']));
      expect(await isPaused('B.b')).toBe(false);
    });
  });
});
