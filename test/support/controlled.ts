/** What an operator is promised, whatever an application keeps deliveries in. */
import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, DeliveryPostponed, EventDeliveries } from 'nestjs-callbacks';
import { Log, startApp, until } from './app.js';
import { Emails, type EngineUnderTest, isIdle, Ordered, ran } from './engine-suite.js';

export function controlsDeliveries<Options extends object>(
  { engineOf, lacks }: EngineUnderTest<Options>,
  place: () => Options,
): void {
  it('any text is an id: stored once, shown, and taken where an id is', async () => {
    const { app, events } = await startApp([Emails], { engine: engineOf(place()) });
    const deliveries = app.get(EventDeliveries);
    const id = "welcome:Ädä 'quoted' 😀";
    await events.with({ id }).run('x', 'fails');
    await until(async () => (await deliveries.list()).found.length === 1);
    await events.with({ id }).run('x', 'another');
    expect((await deliveries.list()).found.map((one) => one.id)).toEqual([id]);
    expect(await deliveries.retry({ callback: 'Emails.greet', ids: [id] })).toBe(1);
    await until(async () => (await deliveries.list({ callback: 'Emails.greet', ids: [id] })).found.length === 1);
    expect(ran).toEqual(['fails', 'fails', 'fails', 'fails']);
    expect(await deliveries.discard({ callback: 'Emails.greet', ids: [id] })).toBe(1);
  });

  it('a delivery that is postponed comes back when it said, and is charged nothing', async () => {
    @Injectable()
    class Polite {
      @Callback('polite', { delivery: 'durable', retry: { attempts: 1 } }) async go() {
        ran.push(currentEvent()!.delivery!.attempt);
        if (ran.length < 3) throw new DeliveryPostponed(100);
      }
    }
    const { app, events } = await startApp([Polite], { engine: engineOf(place()) });
    await events.run('polite');
    await until(() => ran.length === 3);
    await until(() => isIdle(app.get(EventDeliveries)));
    expect(ran).toEqual([1, 1, 1]);
    expect((await app.get(EventDeliveries).list()).found).toEqual([]);
  });

  it('a completed delivery is performed again, under an id that names it, to its callback alone', async () => {
    @Injectable()
    class Two {
      @Callback('two', { delivery: 'durable' }) first(what: string) {
        ran.push(`first ${what} ${currentEvent()!.headers.tenant}`);
      }
      @Callback('two', { delivery: 'durable' }) second(what: string) {
        ran.push(`second ${what}`);
      }
    }
    const { app, events } = await startApp([Two], { engine: engineOf(place()) });
    const deliveries = app.get(EventDeliveries);
    await events.with({ id: 'welcome:ada', key: 'k', headers: { tenant: 'acme' } }).run('two', 'Ada');
    await until(async () => ran.length === 2 && (await isIdle(deliveries)));
    const again = await deliveries.repeat({ callback: 'Two.first', ids: ['welcome:ada', 'nobody'] });
    await until(async () => ran.length === 3 && (await isIdle(deliveries)));
    expect(again).toEqual([expect.stringMatching(/^welcome:ada again \d{4}-/)]);
    expect(ran.toSorted()).toEqual(['first Ada acme', 'first Ada acme', 'second Ada']);
    const { found } = await deliveries.list({ callback: 'Two.first', ids: again, state: 'completed' });
    const { found: before } = await deliveries.list({
      callback: 'Two.first',
      ids: ['welcome:ada'],
      state: 'completed',
    });
    expect(found).toMatchObject([{ id: again[0], key: 'k', arguments: ['Ada'], headers: { tenant: 'acme' } }]);
    // It names what has caused it, by the id under which that is stored.
    expect(
      await deliveries.list({ callback: 'Two.first', ids: [found[0].headers!['causation-id']], state: 'completed' }),
    ).toMatchObject({ found: [{ id: before[0].id }] });
  });

  it('what has been dead for longer than keepDeadMs is removed, and what waited for it goes on', async () => {
    const log = new Log();
    const engineOfThis = engineOf({ ...place(), keepDeadMs: 1_000 });
    const { app, events } = await startApp([Emails, ...(lacks?.order ? [] : [Ordered])], { engine: engineOfThis }, log);
    const deliveries = app.get(EventDeliveries);
    await events.run('x', 'fails');
    if (!lacks?.order) {
      await events.with({ key: 'a' }).run('ordered', 'fails');
      await events.with({ key: 'a' }).run('ordered', 'after it');
    }
    await until(
      async () => ran.length > 0 && (await isIdle(deliveries)) && (await deliveries.list()).found.length === 0,
    );
    const removed = lacks?.order ? ['Emails.greet'] : ['Emails.greet', 'Ordered.greet'];
    expect(ran.filter((what) => what === 'after it')).toHaveLength(removed.length - 1);
    expect(log.of('log')).toContain('Dead deliveries are removed 1 s after they have died (keepDeadMs).');
    const told = log
      .of('log')
      .filter((line) => line.includes('(keepDeadMs): '))
      .join();
    const named = ['1 of "x" to Emails.greet', '1 of "ordered" to Ordered.greet'].slice(0, removed.length);
    expect(named.filter((name) => !told.includes(name))).toEqual([]);
  });
}
