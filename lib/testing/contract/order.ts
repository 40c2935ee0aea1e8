import { timers } from '../../engine/index.js';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type ContractRule, rule } from './rule.js';
import { error, FAR_MS, gate, MOMENT_MS } from './scene.js';

const { sleep } = timers;

/** In which order the deliveries of a key are performed. */
export const orderRules: readonly ContractRule[] = [
  rule(
    'performs the deliveries of a key one at a time, in the order in which they were stored, retries included',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engines = await Promise.all([scene.open(callback), scene.open(callback)]);
      const count = 9;
      const done: Record<string, number[]> = { a: [], b: [], c: [] };
      let overlaps = 0;
      const running = new Set<string>();
      for (const engine of engines) {
        scene.attempts(engine, callback, async (attempt) => {
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
      for (let number = 1; number <= count; number++) {
        const stored = Object.keys(done).map((key) => scene.delivery({ key, arguments: [number] }));
        await Promise.all(stored.map((delivery) => engines[number % 2].store([delivery])));
      }
      const left = () => 3 * count - Object.values(done).flat().length;
      await scene.until('all are done', () => left() === 0, left);
      const inOrder = Array.from({ length: count }, (_, index) => index + 1);
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
      const attempts = scene.attempts(engine, callback, (attempt) => {
        if (attempt.delivery.key !== 'a' || !isDown) return attempt.complete();
        return attempt.attempt === 1 ? attempt.retryIn(MOMENT_MS, error) : attempt.bury(error);
      });
      const [first, second, third] = ['a', 'a', 'a'].map((key) => scene.delivery({ key }));
      const other = scene.delivery({ key: 'b' });
      await engine.store([first]);
      await engine.store([second]);
      await engine.store([third]);
      await scene.until('the first is dead', async () => (await scene.counts(engine)).dead === 1);
      await engine.store([other]);
      await attempts.begun(3);
      await attempts.nothingFor();
      assert.deepEqual(attempts.ids, [first.id, first.id, other.id]);

      isDown = false;
      await scene.retry(engine, { ids: [first.id] });
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
      const attempts = scene.attempts(engine, callback, (attempt) =>
        attempt.delivery.id === first.id ? attempt.bury(error) : attempt.complete(),
      );
      await engine.store([first]);
      await engine.store([second]);
      await scene.until('the first is dead', async () => (await scene.counts(engine)).dead === 1);
      assert.equal(await scene.discard(engine, [first.id]), 1);
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
      const attempts = scene.attempts(engine, callback);
      const [far, soon, prompt] = [FAR_MS, 300, 0].map((delayMs) => scene.delivery({ key: 'a', delayMs }));
      await engine.store([far]);
      await engine.store([prompt]);
      await attempts.begun(1);
      await engine.store([soon]);
      await attempts.begun(2);
      assert.deepEqual(attempts.ids, [prompt.id, soon.id]);
    },
    'order',
  ),

  rule(
    'orders overlapping transactions by which stored first of the key, whichever began first',
    async (scene, harness) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engine = await scene.open(callback);
      const attempts = scene.attempts(engine, callback);
      const [first, second, alone] = ['a', 'a', 'a'].map((key) => scene.delivery({ key, id: randomUUID() }));
      const [hasBegun, hasStoredFirst, hasStoredSecond] = [gate(), gate(), gate()];
      const [firstMayEnd, secondMayEnd] = [gate(), gate()];
      const beganFirst = harness.transaction!(async (transaction) => {
        await transaction.query('select 1', []);
        hasBegun.open();
        await hasStoredFirst.opened;
        // It waits for the other to end.
        await engine.store([second], transaction);
        hasStoredSecond.open();
        await secondMayEnd.opened;
      });
      await hasBegun.opened;
      const storedFirst = harness.transaction!(async (transaction) => {
        await engine.store([first], transaction);
        hasStoredFirst.open();
        await firstMayEnd.opened;
      });
      await scene.until('a transaction has stored', () => hasStoredFirst.isOpen);
      await attempts.nothingFor();
      firstMayEnd.open();
      await scene.until('the transaction that waited has stored', () => hasStoredSecond.isOpen);
      const withoutTransaction = engine.store([alone]);
      await attempts.begun(1);
      await attempts.nothingFor();
      assert.equal(attempts.all.length, 1, 'one has overtaken a transaction that stored before it');
      secondMayEnd.open();
      await Promise.all([beganFirst, storedFirst, withoutTransaction]);
      await attempts.begun(3);
      assert.deepEqual(
        attempts.ids,
        [first, second, alone].map(({ id }) => id),
      );
    },
    'transactions',
    'several sessions',
  ),
];
