import { timers } from '../../engine/index.js';
import assert from 'node:assert/strict';
import { type ContractRule, Attempts, error, MOMENT_MS, rule, until } from './scene.js';

const { sleep } = timers;

/** The order of a key. */
export const orderRules: readonly ContractRule[] = [
  rule(
    'performs the deliveries of a key one at a time, in the order in which they were stored, retries included',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engines = await Promise.all([scene.open(callback), scene.open(callback)]);
      const done: Record<string, number[]> = { a: [], b: [], c: [] };
      let overlaps = 0;
      const running = new Set<string>();
      for (const engine of engines) {
        new Attempts(engine, callback, async (attempt) => {
          const { key = '', arguments: args } = attempt.delivery;
          if (running.has(key)) overlaps++;
          running.add(key);
          await sleep(1);
          running.delete(key);
          if (attempt.attempt === 1 && Number(args[0]) % 3 === 0) return attempt.retryIn(20, error);
          done[key].push(Number(args[0]));
          return attempt.complete();
        });
      }
      for (let number = 1; number <= 12; number++) {
        for (const key of ['a', 'b', 'c']) {
          await engines[number % 2].store([scene.delivery({ key, arguments: [number] })]);
        }
      }
      await until('all are done', () => Object.values(done).every(({ length }) => length === 12));
      const inOrder = Array.from({ length: 12 }, (_, index) => index + 1);
      assert.deepEqual(done, { a: inOrder, b: inOrder, c: inOrder });
      assert.equal(overlaps, 0);
    },
    'order',
  ),

  rule(
    'holds up a key whose delivery waits for its next attempt or is dead, and no other key',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engine = await scene.open(callback);
      let isDown = true;
      const attempts = new Attempts(engine, callback, (attempt) => {
        if (attempt.delivery.key !== 'a' || !isDown) return attempt.complete();
        return attempt.attempt === 1 ? attempt.retryIn(MOMENT_MS, error) : attempt.bury(error);
      });
      const [first, second, third] = ['a', 'a', 'a'].map((key) => scene.delivery({ key }));
      const other = scene.delivery({ key: 'b' });
      await engine.store([first]);
      await engine.store([second]);
      await engine.store([third]);
      await until('the first is dead', async () => (await scene.counts(engine)).dead === 1);
      await engine.store([other]);
      await attempts.begun(3);
      await attempts.nothingFor();
      assert.deepEqual(attempts.ids, [first.id, first.id, other.id]);

      isDown = false;
      await engine.retry(scene.filter({ ids: [first.id] }));
      await attempts.begun(6);
      assert.deepEqual(attempts.ids.slice(3), [first.id, second.id, third.id]);
    },
    'order',
  ),

  rule(
    'goes on with a key whose dead delivery was discarded',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engine = await scene.open(callback);
      const [first, second] = ['a', 'a'].map((key) => scene.delivery({ key }));
      const attempts = new Attempts(engine, callback, (attempt) =>
        attempt.delivery.id === first.id ? attempt.bury(error) : attempt.complete(),
      );
      await engine.store([first]);
      await engine.store([second]);
      await until('the first is dead', async () => (await scene.counts(engine)).dead === 1);
      assert.equal(await engine.discard(scene.filter({ ids: [first.id] })), 1);
      await attempts.begun(2);
      assert.deepEqual(attempts.ids, [first.id, second.id]);
    },
    'order',
  ),

  rule(
    'lets a delayed delivery of a key take its place when its delay is over',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engine = await scene.open(callback);
      const attempts = new Attempts(engine, callback);
      const [late, prompt] = [scene.delivery({ key: 'a', delayMs: 300 }), scene.delivery({ key: 'a' })];
      await engine.store([late]);
      await engine.store([prompt]);
      await attempts.begun(2);
      assert.deepEqual(attempts.ids, [prompt.id, late.id]);
    },
    'order',
  ),
];
