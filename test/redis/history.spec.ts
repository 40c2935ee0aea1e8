/** What a failure writes on a Redis server, and how instances of the build before this one read it; and searching there. */
import { beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Queue } from 'bullmq';
import { Callback, currentEvent, EventDeliveries } from 'nestjs-callbacks';
import { startApp, until } from '../support/app.js';
import { describeWith, findRedis } from '../support/servers.js';
import { sceneOn } from './scene.js';

describeWith('On a Redis server (REDIS_URL, or the local one)', await findRedis(), (url) => {
  const scene = sceneOn(url);
  const attempts: number[] = [];
  beforeEach(() => void attempts.splice(0));

  let during: (id: string) => Promise<unknown> = async () => {};

  @Injectable()
  class Failing {
    @Callback('x', { delivery: 'durable', retry: { attempts: 3, delayMs: 1 } }) async go(_what: string) {
      const { id, attempt } = currentEvent()!.delivery!;
      attempts.push(attempt);
      await during(id);
      throw new Error(`failure ${attempts.length}`);
    }
  }

  async function dead(meanwhile = async (_id: string) => {}) {
    during = meanwhile;
    const { app, events } = await startApp([Failing], scene.options());
    const deliveries = app.get(EventDeliveries);
    const isDead = async () => (await deliveries.counts())[0].dead === 1;
    const queue = new Queue('x/Failing.go', { connection: { url }, prefix: scene.prefix });
    return { events, deliveries, isDead, queue };
  }

  it('no failure writes the arguments: what is put in their place during an attempt is still there', async () => {
    const { events, deliveries, isDead, queue } = await dead(async (id) => {
      const data = JSON.stringify({ arguments: [`during attempt ${attempts.length}`] });
      await scene.client.hset(`${scene.prefix}:x/Failing.go:${id}`, 'data', data);
    });
    await events.run('x', 'Ada');
    await until(isDead);
    const { found } = await deliveries.list();
    expect(found[0]).toMatchObject({
      attempts: 3,
      arguments: ['during attempt 3'],
      error: { message: 'failure 3' },
    });
    expect(found[0].history!.map(({ message }) => message)).toEqual(['failure 1', 'failure 2', 'failure 3']);
    // A dashboard shows it, and BullMQ removes it with the job.
    const logs = await queue.getJobLogs(found[0].id);
    expect(logs.logs.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual([
      'failure 1',
      'failure 2',
      'failure 3',
    ]);
    await deliveries.discard({ callback: 'Failing.go' });
    expect(await scene.client.keys(`${scene.prefix}:x/Failing.go:${found[0].id}*`)).toEqual([]);
    await queue.close();
  });

  it('one that died has all attempts before it when a dashboard retries it, whichever build has buried it', async () => {
    const { events, isDead, queue } = await dead();
    await events.run('x', 'Ada');
    await until(isDead);
    const [buried] = await queue.getFailed();
    // The build before this one takes from the data how many attempts do not count, and these are none.
    const key = `${scene.prefix}:x/Failing.go:${buried.id}`;
    expect(await scene.client.hmget(key, 'data', 'ats')).toEqual([JSON.stringify({ arguments: ['Ada'] }), '0']);
    await buried.retry();
    await until(() => attempts.length === 6);
    await until(isDead);
    // As that build leaves it.
    await scene.client.hset(key, 'data', JSON.stringify({ arguments: ['Ada'], uncounted: 3 }), 'ats', 3);
    await (await queue.getFailed())[0].retry();
    await until(() => attempts.length === 9);
    await until(isDead);
    expect(attempts).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
    await queue.close();
  });

  it('lists the newest of thousands that wait first, by pages, whatever is discarded between them', async () => {
    const { app, events } = await startApp([Failing], scene.options({}, { work: false }));
    const deliveries = app.get(EventDeliveries);
    for (let index = 0; index < 2_500; index++) await events.with({ key: `${index}` }).run('x', `${index}`);
    const listed: unknown[] = [];
    let after: string | undefined;
    do {
      const page = await deliveries.list({ state: 'waiting', order: 'newest', limit: 500, after });
      listed.push(...page.found.map(({ key }) => Number(key)));
      const ids = page.found.slice(-5).map(({ id }) => id);
      if (ids.length > 0) await deliveries.discard({ callback: 'Failing.go', ids });
      after = page.after;
    } while (after !== undefined);
    expect(listed).toEqual(Array.from({ length: 2_500 }, (_, at) => 2_499 - at));
    const pages = [await deliveries.list({ state: 'waiting', key: '10' })];
    while (pages.at(-1)!.after !== undefined) {
      pages.push(await deliveries.list({ state: 'waiting', key: '10', after: pages.at(-1)!.after }));
    }
    expect(pages.map(({ found, scanned }) => [found.length, scanned])).toEqual([
      [1, 1_000],
      [0, 1_000],
      [0, 475],
    ]);
    expect(await deliveries.discard({ key: '10' })).toBe(1);
    expect((await deliveries.counts())[0].waiting).toBe(2_474);
  });
});
