import assert from 'node:assert/strict';
import type { DeliveryFilter } from '../../engine/index.js';
import { buried, endedOf } from './endings.js';
import { allPages, idsOf, inPortions } from './paging.js';
import { type ContractRule, rule } from './rule.js';
import { error, FAR_MS, same } from './scene.js';

/** What is done with what a filter finds, and what has ended lately. */
export const filteringRules: readonly ContractRule[] = [
  rule(
    'retries the dead that a filter means, in portions, and no others',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const down = { ...error, code: 'EDOWN' };
      const dead = await buried(scene, engine, callback, [down, error, down, error, down]);
      const filter = { ...scene.filter(), errorCode: 'EDOWN' };
      const retried = await inPortions((after) => engine.retry(filter, { limit: 2, ...after }));
      assert.equal(retried, 3);
      await scene.until('all are dead again', async () => (await scene.counts(engine)).dead === 5);
      const listed = await allPages(engine, { ...scene.filter(), state: 'dead', limit: 10 });
      const again = listed.filter(({ error: last }) => last?.code === 'again');
      same(idsOf(again).sort(), idsOf([dead[0], dead[2], dead[4]]).sort());
    },
    'search',
  ),

  rule(
    'discards what waits or is dead and fits a filter, in portions, and nothing else',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const dead = await buried(scene, engine, callback, [error, { ...error, code: 'EDOWN' }, error]);
      const waiting = Array.from({ length: 5 }, (_, at) =>
        scene.delivery({ key: at % 2 === 0 ? 'even' : 'odd', delayMs: FAR_MS }),
      );
      for (const delivery of waiting) await engine.store([delivery]);
      const even = { ...scene.filter(), key: 'even' };
      const discard = (filter: DeliveryFilter, state: 'waiting' | 'dead') =>
        inPortions((after) => engine.discard(filter, { limit: 2, state, ...after }));
      assert.equal(await discard(even, 'waiting'), 3);
      assert.equal(await discard({ ...scene.filter(), errorText: 'mail', errorCode: 'EDOWN' }, 'dead'), 1);
      const left = async (state: 'waiting' | 'dead') =>
        idsOf(await allPages(engine, { ...scene.filter(), state, limit: 10 })).sort();
      same(await left('waiting'), idsOf([waiting[1], waiting[3]]).sort());
      same(await left('dead'), idsOf([dead[0], dead[2]]).sort());
      assert.equal(await discard(scene.filter(), 'dead'), 2);
      same([await left('waiting'), await left('dead')], [idsOf([waiting[1], waiting[3]]).sort(), []]);
    },
    'search',
  ),

  rule(
    'counts what has died and what was completed within the last hour',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const lastHour = async () => {
        const found = (await engine.counts()).find(({ event }) => event === callback.event);
        return found && [found.dead, found.lastHour];
      };
      scene.attempts(engine, callback, (attempt) =>
        attempt.delivery.arguments[0] === 'dead' ? attempt.bury(error) : attempt.complete(),
      );
      await engine.store([scene.delivery()]);
      await scene.until('it is completed', async () => (await endedOf(scene, engine)) === 1);
      assert.deepEqual(await lastHour(), [0, { dead: 0, completed: 1, isExact: true }]);
      await engine.store([scene.delivery({ arguments: ['dead'] }), scene.delivery()]);
      await scene.until('all have ended', async () => (await endedOf(scene, engine)) === 3);
      assert.deepEqual(await lastHour(), [1, { dead: 1, completed: 2, isExact: true }]);
    },
    'search',
  ),
];
