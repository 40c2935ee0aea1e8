import assert from 'node:assert/strict';
import type { DeliveryFilter, DeliveryQuery, DurableEngine, NewDelivery, StoredError } from '../../engine/index.js';
import { buried, endedOf } from './endings.js';
import { allPages, idsOf } from './paging.js';
import { type ContractRule, rule } from './rule.js';
import { error, FAR_MS, moment, same } from './scene.js';

/** Searching. */
export const searchingRules: readonly ContractRule[] = [
  rule(
    'finds what waits by key and headers, page by page, each once, and says how much it has looked at',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const stored = Array.from({ length: 12 }, (_, at) =>
        scene.delivery({
          key: at % 2 === 0 ? 'even' : 'odd',
          headers: { tenant: at % 3 === 0 ? 'acme' : 'globex', place: `${at}` },
          delayMs: FAR_MS,
        }),
      );
      for (const delivery of stored) await engine.store([delivery]);
      const by = (filter: DeliveryFilter, ...places: number[]) =>
        finds(
          engine,
          { ...scene.filter(), ...filter, state: 'waiting' },
          places.map((at) => stored[at]),
        );
      await by({ key: 'even' }, 0, 2, 4, 6, 8, 10);
      await by({ headers: { tenant: 'acme' } }, 0, 3, 6, 9);
      await by({ key: 'odd', headers: { tenant: 'acme', place: '9' } }, 9);
      await by({ key: 'eve' });
      await by({ headers: { tenant: 'acm' } });
      await by({ callback: 'Emails.greet', key: 'even', ids: idsOf(stored.slice(3, 6)) }, 4);
    },
    'search',
  ),

  rule(
    'finds dead deliveries by the code and by the text of their errors, in whatever case',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const errors: StoredError[] = [
        { ...error, code: 'ECONNREFUSED' },
        { ...error, code: 'ECONN', message: 'no such address' },
        { name: 'AddressError', message: 'gone' },
      ];
      const dead = await buried(scene, engine, callback, errors);
      const by = (filter: DeliveryFilter, ...places: number[]) =>
        finds(
          engine,
          { ...scene.filter(), ...filter, state: 'dead' },
          places.map((at) => dead[at]),
        );
      await by({ errorCode: 'ECONN' }, 1);
      await by({ errorText: 'ADDRESS' }, 1, 2);
      await by({ errorText: 'the mail server' }, 0);
      await by({ errorCode: 'ECONNREFUSED', errorText: 'address' });
    },
    'search',
  ),

  rule(
    'finds deliveries by when they were stored, and when they died: from a time, up to another',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const dead = await buried(scene, engine, callback, [error, error, error]);
      const listed = await allPages(engine, { ...scene.filter(), state: 'dead', limit: 10 });
      const [, middle, last] = dead.map(({ id }) => listed.find((one) => one.id === id)!);
      const by = (filter: DeliveryFilter, ...places: number[]) =>
        finds(
          engine,
          { ...scene.filter(), ...filter, state: 'dead' },
          places.map((at) => dead[at]),
        );
      await by({ storedAfter: middle.storedAt }, 1, 2);
      await by({ storedBefore: middle.storedAt }, 0);
      await by({ storedAfter: middle.storedAt, storedBefore: last.storedAt }, 1);
      await by({ endedAfter: middle.since }, 1, 2);
      await by({ endedBefore: middle.since }, 0);
      await by({ endedAfter: middle.since, endedBefore: last.since }, 1);
      await by({ endedAfter: new Date(last.since.getTime() + 1) });
    },
    'search',
  ),

  rule(
    'lists the newest first, page by page, what is due and what is delayed',
    async (scene) => {
      for (const delayMs of [0, FAR_MS]) {
        const name = `Emails.after${delayMs}`;
        const engine = await scene.open(scene.callback(name));
        const stored = Array.from({ length: 5 }, () => scene.delivery({ callback: name, delayMs }));
        for (const delivery of stored) await engine.store([delivery]);
        for (const limit of [1, 2, 10]) {
          const query = { ...scene.filter({ callback: name }), state: 'waiting', order: 'newest', limit } as const;
          same(idsOf(await allPages(engine, query)), idsOf(stored.toReversed()));
        }
      }
    },
    'search',
  ),

  rule(
    'lists completed deliveries with what they carried, in the order of completion, and no others',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { concurrency: 1 });
      const engine = await scene.open(callback);
      scene.attempts(engine, callback, (attempt) =>
        attempt.delivery.arguments[0] === 'dead' ? attempt.bury(error) : attempt.complete(),
      );
      const stored: NewDelivery[] = [];
      for (const [at, what] of ['first', 'dead', 'second', 'third'].entries()) {
        const delivery = scene.delivery({ arguments: [what], headers: { place: `${at}` } });
        await engine.store([delivery]);
        await scene.until('it has ended', async () => (await endedOf(scene, engine)) === at + 1);
        if (what !== 'dead') stored.push(delivery);
        // So that no two are completed at the same time.
        await moment(10);
      }
      const query = { ...scene.filter(), state: 'completed', limit: 2 } as const;
      const listed = await allPages(engine, query);
      same(idsOf(listed), idsOf(stored));
      same(
        listed.map((one) => [one.arguments, one.headers, one.state]),
        stored.map((one) => [one.arguments, one.headers, 'completed']),
      );
      assert.ok(
        listed.every(({ since, storedAt }) => since >= storedAt),
        'since is not when it was completed',
      );
      same(idsOf(await allPages(engine, { ...query, order: 'newest' })), idsOf(stored.toReversed()));
      const completed = { ...scene.filter({ callback: 'Emails.greet' }), state: 'completed' } as const;
      await finds(engine, { ...completed, endedAfter: listed[1].since }, stored.slice(1));
      await finds(engine, { ...completed, headers: { place: '2' } }, [stored[1]]);
      await finds(engine, { ...completed, ids: [stored[2].id] }, [stored[2]]);
    },
    'search',
  ),
];

/** Finds all that it should, whatever the length of a page, in the order of storing, or of completion. */
async function finds(
  engine: DurableEngine,
  filter: DeliveryFilter & Pick<DeliveryQuery, 'state'>,
  expected: readonly NewDelivery[],
): Promise<void> {
  for (const limit of [1, 4, 20]) same(idsOf(await allPages(engine, { ...filter, limit })), idsOf(expected));
}
