import assert from 'node:assert/strict';
import type { EngineAttempt } from '../../engine/index.js';
import { type ContractRule, rule } from './rule.js';
import { error } from './scene.js';

const SOON_MS = 300;
/** Clocks differ a little, and stores round. */
const EARLY_MS = 20;

/** What an attempt says of itself, and of what came before it. */
const standing = ({ attempt, charged, postponedMs = 0 }: EngineAttempt) => ({ attempt, charged, postponedMs });

/** A store may keep the sum in whole seconds, and must not keep less than it is. */
function sumIsKept({ postponedMs = 0 }: EngineAttempt, leastMs: number): void {
  assert.ok(
    postponedMs >= leastMs && postponedMs < leastMs + 2_000,
    `it was postponed by ${leastMs} ms, and the engine says ${postponedMs}`,
  );
}

/** Rules on deliveries whose callback has said when they are to come back. */
export const postponingRules: readonly ContractRule[] = [
  rule(
    'performs again what was postponed, when it is due again and not before, with the same attempt before it',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const times: number[] = [];
      const attempts = scene.attempts(engine, callback, (attempt) => {
        times.push(performance.now());
        return times.length < 3 ? attempt.postpone!(SOON_MS) : attempt.complete();
      });
      await engine.store([scene.delivery()]);
      const all = await attempts.begun(3);
      for (const index of [1, 2]) {
        assert.ok(times[index] - times[index - 1] >= SOON_MS - EARLY_MS, 'it was performed again too soon');
      }
      assert.deepEqual(
        all.map(({ attempt, charged }) => [attempt, charged]),
        [1, 1, 1].map((one) => [one, one]),
      );
      await scene.until('it is done', async () => {
        const { waiting, delayed, running } = await scene.counts(engine);
        return waiting + delayed + running === 0;
      });
    },
    'postponing',
  ),

  rule(
    'says how long a delivery was postponed in all, also after a failure, and anew when it was dead and retried',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const ends = ['postpone', 'postpone', 'retry', 'bury'];
      const attempts = scene.attempts(engine, callback, (attempt) => {
        const end = ends.shift();
        if (end === 'postpone') return attempt.postpone!(SOON_MS);
        if (end === 'retry') return attempt.retryIn(0, error);
        return end === 'bury' ? attempt.bury(error) : attempt.complete();
      });
      await engine.store([scene.delivery()]);
      await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
      const all = await attempts.begun(4);
      assert.deepEqual(standing(all[0]), { attempt: 1, charged: 1, postponedMs: 0 });
      sumIsKept(all[1], SOON_MS);
      sumIsKept(all[2], 2 * SOON_MS);
      sumIsKept(all[3], 2 * SOON_MS);
      assert.deepEqual([all[3].attempt, all[3].charged], [2, 2], 'a postponed attempt was charged');
      assert.equal(await scene.retry(engine), 1);
      await attempts.begun(5);
      assert.deepEqual(standing(attempts.all[4]), { attempt: 1, charged: 1, postponedMs: 0 });
    },
    'postponing',
  ),

  rule(
    'keeps the order of a key while one of it is postponed',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engine = await scene.open(callback);
      let isPostponed = false;
      const attempts = scene.attempts(engine, callback, async (attempt) => {
        if (isPostponed) return attempt.complete();
        isPostponed = true;
        return attempt.postpone!(SOON_MS);
      });
      const [first, second] = [scene.delivery({ key: 'a' }), scene.delivery({ key: 'a' })];
      await engine.store([first]);
      await engine.store([second]);
      await attempts.begun(3);
      assert.deepEqual(attempts.ids, [first.id, first.id, second.id]);
    },
    'postponing',
    'order',
  ),

  rule(
    'charges an instance that died nothing for what was postponed before',
    async (scene) => {
      const callback = scene.callback();
      const crashed = await scene.openBrief(callback);
      let count = 0;
      const unfinished = scene.attempts(crashed, callback, (attempt) =>
        count++ === 0 ? attempt.postpone!(0) : new Promise(() => {}),
      );
      await crashed.store([scene.delivery()]);
      await unfinished.begun(2);
      await scene.harness.cutOff(crashed);
      const attempts = scene.attempts(await scene.openBrief(callback), callback);
      const [after] = await attempts.begun(1);
      assert.deepEqual([after.attempt, after.charged], [2, 1]);
    },
    'postponing',
    'several sessions',
  ),
];
