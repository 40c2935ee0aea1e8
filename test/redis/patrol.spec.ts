/** What instances on a Redis server leave to the one that has the duty, and how few of them ask for a delivery. */
import { afterEach, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Queue } from 'bullmq';
import { type Command, Redis } from 'ioredis';
import { Callback } from 'nestjs-callbacks';
import { redis } from 'nestjs-callbacks/redis';
import { closeApps, startApp, until } from '../support/app.js';
import { Emails, ran } from '../support/engine-suite.js';
import { findRedisProgram, PrivateRedis } from '../support/private-redis.mjs';
import { describeWith, findRedis } from '../support/servers.js';
import { sceneOn } from './scene.js';

/** Sends nothing any more, as an instance that was killed. */
const dies = (client: Redis) => client.disconnect();

describeWith('On a Redis server (REDIS_URL, or the local one)', await findRedis(), (url) => {
  const scene = sceneOn(url);
  afterEach(() => {
    jest.restoreAllMocks();
  });
  const key = (name: string) => `${scene.prefix}:x/Emails.greet:${name}`;

  /** Notes the commands that are sent from now on. */
  function commands(): () => Command[] {
    const { mock } = jest.spyOn(Redis.prototype, 'sendCommand');
    return () => mock.calls.map(([command]) => command as Command);
  }

  it('of 16 instances, at most two ask for one delivery', async () => {
    const apps = [];
    for (let number = 0; number < 16; number++) apps.push(await startApp([Emails], scene.options()));
    const sent = commands();
    const asked = () =>
      sent().filter(({ name, args }) => name === 'evalsha' && args[1] === 11 && args[2] === key('wait'));
    for (const [index, { events }] of apps.entries()) {
      const before = asked().length;
      await events.run('x', index);
      await until(async () => (await scene.client.zcard(key('completed'))) === index + 1);
      await until(async () => (await scene.client.exists(key('marker'))) === 0);
      expect(asked().length - before).toBeLessThanOrEqual(2);
    }
    expect(ran).toHaveLength(16);
  });

  it('only one of several idle instances looks for what nobody was told of, and another when that one has gone', async () => {
    const options = () => scene.options({ leaseMs: 1_000 });
    const first = await startApp([Emails], options());
    await until(async () => (await scene.client.exists(`${scene.prefix}:duty`)) === 1);
    const holder = await scene.client.get(`${scene.prefix}:duty`);
    await startApp([Emails], options());
    const sent = commands();
    const looks = () =>
      sent().filter(({ name, args }) => name === 'eval' && args.includes(`${scene.prefix}:addresses`));
    await until(() => looks().length >= 5);
    expect(await scene.client.get(`${scene.prefix}:duty`)).toBe(holder);
    await first.app.close();
    await until(async () => ![null, holder].includes(await scene.client.get(`${scene.prefix}:duty`)));
  });

  it('the duty of an instance that died is taken over within three seconds', async () => {
    await startApp([Emails], scene.options());
    const duty = `${scene.prefix}:duty`;
    await until(async () => (await scene.client.exists(duty)) === 1);
    const clients: Redis[] = [];
    const { sendCommand } = Redis.prototype;
    jest.spyOn(Redis.prototype, 'sendCommand').mockImplementation(function (this: Redis, ...args) {
      if (String(args[0].args[2]) === duty && args[0].name === 'eval') clients.push(this);
      return sendCommand.apply(this, args);
    });
    await until(() => clients.length > 0);
    const holder = await scene.client.get(duty);
    jest.restoreAllMocks();
    await startApp([Emails], scene.options());
    // It never comes back.
    clients[0].options.retryStrategy = () => null;
    dies(clients[0]);
    // The other asks when it is over.
    expect(await scene.client.pttl(duty)).toBeLessThan(2_900);
    await until(async () => ![null, holder].includes(await scene.client.get(duty)));
  });

  it('what waits without a marker, because whoever took it has died, is performed all the same', async () => {
    const { app: before, events } = await startApp([Emails], scene.options({}, { work: false }));
    await events.run('x', 'waits');
    await events.with({ delayMs: 200 }).run('x', 'delayed');
    await startApp([Emails], scene.options());
    await until(() => ran.length === 2);
    await events.run('x', 'first');
    await until(() => ran.length === 3);
    // In one step, so that nobody hears of it.
    await scene.client
      .multi()
      .rpush(key('wait'), 'nobody')
      .del(key('marker'))
      .hset(key('nobody'), 'data', '{"arguments":["lost"]}', 'name', 'x', 'opts', '{}', 'timestamp', Date.now())
      .exec();
    const sent = commands();
    const looks = () =>
      sent().filter(({ name, args }) => name === 'eval' && args.includes(`${scene.prefix}:addresses`));
    await until(() => ran.includes('lost'));
    // One may have been under way.
    expect(looks().length).toBeLessThanOrEqual(2);
    await before.close();
  });

  it('a queue that was paused in a dashboard wakes nobody', async () => {
    const { events } = await startApp([Emails], scene.options({ leaseMs: 1_000 }));
    const queue = new Queue('x/Emails.greet', { connection: { url }, prefix: scene.prefix });
    await queue.pause();
    await events.run('x', 'later');
    const sent = commands();
    const looks = () =>
      sent().filter(({ name, args }) => name === 'eval' && args.includes(`${scene.prefix}:addresses`));
    await until(() => looks().length >= 3);
    expect(await scene.client.exists(key('marker'))).toBe(0);
    await queue.resume();
    await until(() => ran.length === 1);
    await queue.close();
  });

  it('forgets what was completed long ago, also of queues that no instance knows any more', async () => {
    @Injectable()
    class Former {
      @Callback('x', { delivery: 'durable', id: 'Mails.hello' }) hello() {}
    }
    const former = await startApp([Former], scene.options());
    await former.events.run('x');
    const completed = `${scene.prefix}:x/Mails.hello:completed`;
    await until(async () => (await scene.client.zcard(completed)) === 1);
    await former.app.close();
    await startApp([Emails], scene.options({ keepCompletedMs: 1_000 }));
    await until(async () => (await scene.client.zcard(completed)) === 0);
  });
});

describeWith('With a Redis server of its own (redis-server)', findRedisProgram(), () => {
  it('each of many callbacks that have nothing to do costs a look one command, and the next look finds what is lost', async () => {
    const server = await PrivateRedis.start();
    try {
      const many = Array.from({ length: 300 }, (_, number) => {
        @Injectable()
        class One {
          @Callback('x', { delivery: 'durable', id: `One${number}` }) go(what: unknown) {
            ran.push(what);
          }
        }
        return One;
      });
      await startApp(many, { engine: redis({ url: server.url, leaseMs: 2_500 }) });
      await server.ask(async (client: Redis) => {
        const commands = async (name: string) =>
          Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(await client.info('commandstats'))?.[1] ?? 0);
        const looks = () => commands('pexpire');
        await until(async () => (await looks()) >= 3);
        await client.config('RESETSTAT');
        await until(async () => (await looks()) >= 5);
        const asked = await commands('exists');
        // Each look begins by asking once whether any queue is named. The counting may have begun within a look.
        expect(asked).toBeLessThanOrEqual((300 + 1) * ((await looks()) + 1));
        const from = await looks();
        const key = (number: number, name: string) => `{nestjs-callbacks}:x/One${number}:${name}`;
        const lost = [0, 60, 120, 180, 240];
        for (const number of lost) {
          await client
            .multi()
            .rpush(key(number, 'wait'), 'lost')
            .hset(key(number, 'lost'), 'data', '{"arguments":[1]}', 'name', 'x', 'opts', '{}', 'timestamp', Date.now())
            .exec();
        }
        await until(() => ran.length === lost.length);
        expect((await looks()) - from).toBeLessThanOrEqual(3);
      });
    } finally {
      await closeApps();
      await server.remove();
    }
  });
});
