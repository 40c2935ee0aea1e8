import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { EngineAttempt, SqlTransaction } from '../../engine/index.js';
import { type ContractRule, rule } from './rule.js';
import { type Attempts, error, type Scene } from './scene.js';

const rollBack = new Error('rolled back');
const rolledBack = (work: Promise<void>) =>
  work.catch((reason: unknown) => {
    if (reason !== rollBack) throw reason;
  });

/** Has a delivery performed in a way that asks once to complete it in a transaction, which the engine is to refuse. */
async function refusing(
  scene: Scene,
  perform: (attempt: EngineAttempt, answer: (completing: Promise<void>) => Promise<unknown>) => Promise<unknown>,
): Promise<Attempts> {
  const callback = scene.callback('Emails.greet', { concurrency: 1 });
  const engine = await scene.open(callback);
  const answers: string[] = [];
  const answer = (completing: Promise<void>) =>
    completing.then(
      () => answers.push('completed'),
      () => answers.push('refused'),
    );
  const attempts = scene.attempts(engine, callback, (attempt) => perform(attempt, answer));
  await engine.store([scene.delivery()]);
  await scene.until('it has answered', () => answers.length === 1);
  assert.deepEqual(answers, ['refused']);
  return attempts;
}

/** Rules on storing and completing deliveries in a transaction. */
export const transactionsRules: readonly ContractRule[] = [
  rule(
    'stores in a transaction: the deliveries are there when it commits, and not before',
    async (scene, harness) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const attempts = scene.attempts(engine, callback);
      const delivery = scene.delivery();
      await harness.transaction!(async (transaction) => {
        await engine.store([delivery], transaction);
        await attempts.nothingFor();
      });
      const [attempt] = await attempts.begun(1);
      assert.equal(attempt.delivery.id, delivery.id);
    },
    'transactions',
  ),

  rule(
    'stores nothing of a transaction that is rolled back',
    async (scene, harness) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const attempts = scene.attempts(engine, callback);
      await rolledBack(
        harness.transaction!(async (transaction) => {
          await engine.store([scene.delivery(), scene.delivery()], transaction);
          throw rollBack;
        }),
      );
      await attempts.nothingFor();
      assert.deepEqual(await scene.counts(engine), { waiting: 0, delayed: 0, running: 0, dead: 0 });
    },
    'transactions',
  ),

  rule(
    'refuses a transaction that has ended, and stores nothing',
    async (scene, harness) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const attempts = scene.attempts(engine, callback);
      let ended!: SqlTransaction;
      await harness.transaction!(async (transaction) => {
        ended = transaction;
      });
      await assert.rejects(engine.store([scene.delivery()], ended));
      await attempts.nothingFor();
      assert.deepEqual(await scene.counts(engine), { waiting: 0, delayed: 0, running: 0, dead: 0 });
    },
    'transactions',
  ),

  rule(
    'leaves a transaction usable that stores an id again',
    async (scene, harness) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const attempts = scene.attempts(engine, callback);
      const [once, again] = [scene.delivery(), scene.delivery()];
      await engine.store([again]);
      await attempts.begun(1);
      await harness.transaction!(async (transaction) => {
        await engine.store([again], transaction);
        await engine.store([once], transaction);
        await engine.store([once], transaction);
      });
      await attempts.begun(2);
      await attempts.nothingFor();
      assert.deepEqual(attempts.ids, [again.id, once.id]);
    },
    'transactions',
  ),

  rule(
    'completes a delivery with the transaction of its callback, and only if that commits',
    async (scene, harness) => {
      const callback = scene.callback('Emails.greet', { concurrency: 1 });
      const engine = await scene.open(callback);
      const answers: boolean[] = [];
      const attempts = scene.attempts(engine, callback, async (attempt) => {
        const isFirst = attempt.attempt === 1;
        await rolledBack(
          harness.transaction!(async (transaction) => {
            await attempt.completeIn(transaction);
            if (isFirst) throw rollBack;
          }),
        );
        // A delivery that the transaction has completed stays completed.
        answers.push(isFirst ? await attempt.retryIn(0, error) : await attempt.complete());
      });
      await engine.store([scene.delivery()]);
      await scene.until('it has answered twice', () => answers.length === 2);
      assert.deepEqual(answers, [true, true], 'it was completed by a rolled back transaction, or not by the other');
      await attempts.nothingFor();
      assert.deepEqual(await scene.counts(engine), { waiting: 0, delayed: 0, running: 0, dead: 0 });
    },
    'transactions',
  ),

  rule(
    'refuses to complete a delivery in a transaction that has ended, and leaves it as it was',
    async (scene, harness) => {
      const attempts = await refusing(scene, async (attempt, answer) => {
        if (attempt.attempt > 1) return attempt.complete();
        let ended!: SqlTransaction;
        await harness.transaction!(async (transaction) => {
          ended = transaction;
        });
        await answer(attempt.completeIn(ended));
        return attempt.retryIn(0, error);
      });
      await attempts.begun(2);
    },
    'transactions',
  ),

  rule(
    'refuses to complete a delivery twice',
    async (scene, harness) => {
      const attempts = await refusing(scene, async (attempt, answer) => {
        const complete = (transaction: SqlTransaction) => attempt.completeIn(transaction);
        await harness.transaction!(complete);
        await answer(harness.transaction!(complete));
      });
      await attempts.nothingFor();
    },
    'transactions',
  ),

  rule(
    'does not complete a delivery in a transaction when the claim on it is gone',
    async (scene, harness) => {
      const attempts = await refusing(scene, async (attempt, answer) => {
        if (attempt.attempt > 1) return attempt.complete();
        await attempt.retryIn(0, error);
        return answer(harness.transaction!((transaction) => attempt.completeIn(transaction)));
      });
      await attempts.begun(2);
    },
    'transactions',
  ),

  rule(
    'keeps the order of a key within one transaction',
    async (scene, harness) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engine = await scene.open(callback);
      const attempts = scene.attempts(engine, callback);
      // Random ids, which do not tell the order.
      const deliveries = Array.from({ length: 6 }, () => scene.delivery({ key: 'a', id: randomUUID() }));
      await harness.transaction!(async (transaction) => {
        for (const delivery of deliveries) await engine.store([delivery], transaction);
      });
      await attempts.begun(6);
      assert.deepEqual(
        attempts.ids,
        deliveries.map(({ id }) => id),
      );
    },
    'transactions',
  ),

  rule(
    'keeps the order of the calls within one transaction, also of those that wait for none before them',
    async (scene, harness) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engine = await scene.open(callback);
      const attempts = scene.attempts(engine, callback);
      const deliveries = Array.from({ length: 20 }, () => scene.delivery({ key: 'a', id: randomUUID() }));
      await harness.transaction!(async (transaction) => {
        await Promise.all(deliveries.map((delivery) => engine.store([delivery], transaction)));
      });
      await attempts.begun(20);
      assert.deepEqual(
        attempts.ids,
        deliveries.map(({ id }) => id),
      );
    },
    'transactions',
  ),
];
