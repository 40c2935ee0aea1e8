/** What waits and what runs on a Redis server: discarding it, and reading it page by page meanwhile. */
import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, EventDeliveries } from 'nestjs-callbacks';
import { deferred, startApp, until } from '../support/app.js';
import { Emails, isIdle, ran } from '../support/engine-suite.js';
import { describeWith, findRedis } from '../support/servers.js';
import { sceneOn } from './scene.js';

describeWith('On a Redis server (REDIS_URL, or the local one)', await findRedis(), (url) => {
  const scene = sceneOn(url);
  const callback = 'Emails.greet';
  const key = (name: string) => `${scene.prefix}:x/Emails.greet:${name}`;

  /** An instance that stores, and so many deliveries that wait. */
  async function waiting(count: number) {
    const { app, events } = await startApp([Emails], scene.options({}, { work: false }));
    const deliveries = app.get(EventDeliveries);
    for (let index = 0; index < count; index++) await events.run('x', index);
    const ids = (await deliveries.list({ state: 'waiting', limit: 1_000 })).found.map(({ id }) => id);
    return { events, deliveries, ids };
  }

  /** Reads what waits, page by page, and does something between the first two pages. */
  async function readInPages(deliveries: EventDeliveries, limit: number, between: () => Promise<unknown>) {
    const listed: unknown[] = [];
    let after: string | undefined;
    for (let pages = 1; ; pages++) {
      const page = await deliveries.list({ state: 'waiting', limit, after });
      listed.push(...page.found.map(({ arguments: [what] }) => what));
      if (pages === 1) await between();
      after = page.after;
      if (after === undefined) return listed;
    }
  }

  it('what is discarded is not looked for in the list, and is neither listed, counted nor performed', async () => {
    const { deliveries, ids } = await waiting(10);
    const monitor = await scene.client.monitor();
    const seen: string[] = [];
    monitor.on('monitor', (_time, [name, first]: string[]) => {
      if (first?.startsWith(scene.prefix)) seen.push(name.toLowerCase());
    });
    const gone = ids.filter((_, index) => index > 0 && index % 2 === 0);
    expect(await deliveries.discard({ callback, ids: [...gone, gone[0]] })).toBe(4);
    expect(await deliveries.discard({ callback, ids: gone })).toBe(0);
    await scene.client.getbit(key('end'), 0);
    await until(() => seen.includes('getbit'));
    monitor.disconnect();
    expect(seen).toContain('sadd');
    expect(seen).not.toContain('lrem');
    expect(await deliveries.counts()).toMatchObject([{ waiting: 6 }]);
    expect((await deliveries.list({ state: 'waiting', limit: 6 })).found.map(({ arguments: [what] }) => what)).toEqual([
      0, 1, 3, 5, 7, 9,
    ]);
    expect((await deliveries.list({ callback, state: 'waiting', ids: gone })).found).toEqual([]);
    await startApp([Emails], scene.options());
    await until(() => isIdle(deliveries));
    expect(ran.toSorted()).toEqual([0, 1, 3, 5, 7, 9]);
    await until(async () => (await scene.client.exists(key('discarded'), key('wait'), ...gone.map(key))) === 0);
  });

  it('the oldest that waits is told of, though another was handed back before it, and not when it is discarded', async () => {
    const { deliveries, ids } = await waiting(30);
    const sinceOf = async (id: string) =>
      (await deliveries.list({ callback, ids: [id], state: 'waiting' })).found[0].since;
    const oldest = async () => (await deliveries.counts())[0].oldestDueAt;
    // As BullMQ does with what is handed back.
    await scene.client.lrem(key('wait'), 1, ids[29]);
    await scene.client.rpush(key('wait'), ids[29]);
    expect(await oldest()).toEqual(await sinceOf(ids[0]));
    await deliveries.discard({ callback, ids: ids.slice(0, 5) });
    expect(await oldest()).toEqual(await sinceOf(ids[5]));
  });

  it('of many that wait, counts() looks at a few', async () => {
    const { events, deliveries } = await waiting(0);
    await Promise.all(Array.from({ length: 1_000 }, () => events.run('x', 'Ada')));
    const monitor = await scene.client.monitor();
    const seen: string[] = [];
    monitor.on('monitor', (_time, [name, first]: string[]) => {
      if (first?.startsWith(scene.prefix)) seen.push(name.toLowerCase());
    });
    expect(await deliveries.counts()).toMatchObject([{ waiting: 1_000, oldestDueAt: expect.any(Date) }]);
    await scene.client.getbit(key('end'), 0);
    await until(() => seen.includes('getbit'));
    monitor.disconnect();
    expect(seen.filter((name) => name === 'hmget').length).toBeLessThanOrEqual(20);
  });

  it('of more than one look passes over at once, the next that waits is performed all the same', async () => {
    const { events, deliveries } = await waiting(1);
    const ids = Array.from(
      { length: 2_500 },
      (_, index) => `01900000-0000-7000-8000-${String(index).padStart(12, '0')}`,
    );
    await Promise.all(ids.map((id) => events.with({ id }).run('x', 'gone')));
    await events.run('x', 'last');
    expect(await deliveries.discard({ callback, ids })).toBe(2_500);
    expect(await deliveries.counts()).toMatchObject([{ waiting: 2 }]);
    expect((await deliveries.list({ state: 'waiting', limit: 2 })).found).toHaveLength(2);
    await startApp([Emails], scene.options());
    await until(() => isIdle(deliveries));
    expect(ran.toSorted()).toEqual([0, 'last']);
  });

  it.each([0, 50])(
    'what is run again under the id of one that was discarded is performed once, after %i ms',
    async (delayMs) => {
      const { events, deliveries, ids } = await waiting(5);
      await deliveries.discard({ callback, ids: [ids[2]] });
      await events.with({ id: ids[2], delayMs }).run('x', 'again');
      expect((await deliveries.list({ state: 'waiting', limit: 10 })).found).toHaveLength(5);
      // It may become due from one to the next.
      const [{ waiting: due, delayed }] = await deliveries.counts();
      expect(due + delayed).toBe(5);
      await deliveries.discard({ callback, ids: [ids[2]] });
      await events.with({ id: ids[2], delayMs }).run('x', 'once more');
      await startApp([Emails], scene.options());
      await until(() => isIdle(deliveries));
      expect(ran.toSorted()).toEqual([0, 1, 3, 4, 'once more']);
    },
  );

  it('what is discarded while instances perform is discarded or performed, never both, and so again under the same ids', async () => {
    const { events, deliveries, ids } = await waiting(600);
    await startApp([Emails], scene.options());
    await startApp([Emails], scene.options());
    // Two thirds, from the newest on.
    const doomed = ids.toReversed().filter((_, index) => index % 3 > 0);
    for (const round of [1, 2, 3]) {
      let count = 0;
      for (let at = 0; at < doomed.length; at += 20) {
        count += await deliveries.discard({ callback, ids: doomed.slice(at, at + 20) });
      }
      await until(() => isIdle(deliveries));
      const performed = ran.splice(0);
      expect(new Set(performed).size).toBe(performed.length);
      expect(performed.length + count).toBe(600);
      await until(async () => (await scene.client.exists(key('discarded'), key('wait'))) === 0);
      // An id that was performed is known.
      for (const id of ids) await scene.client.multi().zrem(key('completed'), id).del(key(id)).exec();
      if (round < 3) await Promise.all(ids.map((id, index) => events.with({ id }).run('x', index)));
    }
  });

  it('pages go on where they were, though what was before is discarded', async () => {
    const { deliveries, ids } = await waiting(30);
    const listed = await readInPages(deliveries, 12, () => deliveries.discard({ callback, ids: ids.slice(4, 20) }));
    expect(listed).toEqual([...Array(12).keys(), ...Array.from({ length: 10 }, (_, index) => 20 + index)]);
  });

  it('pages go on where they were, though what was before is performed and waits again', async () => {
    const { deliveries } = await waiting(30);
    const listed = await readInPages(deliveries, 2, async () => {
      // As when their attempts have failed: all have a second one before them.
      for (let times = 0; times < 2; times++) {
        await scene.client.lmove(key('wait'), key('wait'), 'RIGHT', 'LEFT');
        const id = await scene.client.lindex(key('wait'), 0);
        await scene.client.hincrby(key(id!), 'ats', 1);
      }
    });
    expect(listed.slice(0, 30)).toEqual([...Array(30).keys()]);
  });

  it('what runs is listed once, though others that were listed end meanwhile', async () => {
    const gates = Array.from({ length: 12 }, () => deferred());
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable', concurrency: 12 }) async go(number: number) {
        ran.push(number);
        await gates[number].promise;
      }
    }
    const { app, events } = await startApp([Slow], scene.options());
    const deliveries = app.get(EventDeliveries);
    for (const number of gates.keys()) await events.run('slow', number);
    await until(() => ran.length === 12);
    const { found: first, after } = await deliveries.list({ state: 'running', limit: 7 });
    const numbersOf = (page: typeof first) => page.map(({ arguments: [number] }) => number as number);
    for (const number of numbersOf(first).slice(1)) gates[number].resolve();
    await until(async () => (await deliveries.counts())[0].running === 6);
    const second = (await deliveries.list({ state: 'running', limit: 7, after })).found;
    expect([...numbersOf(first), ...numbersOf(second)].toSorted((one, other) => one - other)).toEqual([
      ...gates.keys(),
    ]);
    for (const { resolve } of gates) resolve();
  });
});
