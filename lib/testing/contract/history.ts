import assert from 'node:assert/strict';
import type { DurableEngine } from '../../engine/index.js';
import { type ContractRule, rule } from './rule.js';
import { error, same, type Scene } from './scene.js';

/** What is remembered of the failures of a delivery. */
export const historyRules: readonly ContractRule[] = [
  rule(
    'remembers the last ten failures of a delivery, in their order, each with its time and its instance',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const began = Date.now();
      scene.attempts(engine, callback, (attempt) => {
        const failed = { ...error, message: `failure ${attempt.attempt}` };
        return attempt.attempt < 13 ? attempt.retryIn(0, failed) : attempt.bury(failed);
      });
      await engine.store([scene.delivery()]);
      await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
      const history = await historyOf(scene, engine);
      same(
        history.map(({ message }) => message),
        Array.from({ length: 10 }, (_, at) => `failure ${at + 4}`),
      );
      assert.deepEqual(new Set(history.map(({ instance }) => instance)), new Set([scene.instanceOf(engine)]));
      const times = history.map(({ at }) => at.getTime());
      same(times, times.toSorted());
      // The store's clock may be another one.
      assert.ok(
        times.every((at) => Math.abs(at - began) < 60_000),
        'a time is not that of the failure',
      );
    },
    'history',
  ),

  rule(
    'remembers what failed before a dead delivery was retried, and no more than the beginning of a long message',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const long = { ...error, message: 'long '.repeat(1_000) };
      const attempts = scene.attempts(engine, callback, (attempt) => attempt.bury(long));
      const delivery = scene.delivery();
      await engine.store([delivery]);
      await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
      assert.equal(await scene.retry(engine, { ids: [delivery.id] }), 1);
      await attempts.begun(2);
      await scene.until('it is dead again', async () => (await scene.counts(engine)).dead === 1);
      const history = await historyOf(scene, engine);
      same(
        history.map(({ message }) => message),
        [long.message.slice(0, 500), long.message.slice(0, 500)],
      );
    },
    'history',
  ),

  rule(
    'remembers nothing of what was broken off, or has not failed',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      let isDone = false;
      scene.attempts(engine, callback, async (attempt) => {
        if (attempt.attempt === 1 && !isDone) {
          isDone = true;
          return attempt.release();
        }
        return attempt.bury(error);
      });
      await engine.store([scene.delivery()]);
      await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
      same(
        (await historyOf(scene, engine)).map(({ message }) => message),
        [error.message],
      );
    },
    'history',
  ),
];

async function historyOf(scene: Scene, engine: DurableEngine) {
  const { found } = await engine.list({ ...scene.filter(), state: 'dead', limit: 1 });
  return found[0].history ?? [];
}
