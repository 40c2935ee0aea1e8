import assert from 'node:assert/strict';
import { uuidv7 } from 'uuidv7';
import { type ContractRule, rule } from './rule.js';
import { error, FAR_MS, gate, same } from './scene.js';

/** Rules on deliveries whose attempt does not succeed. */
export const failingRules: readonly ContractRule[] = [
  rule(
    'tries again after the delay that was asked for, counting attempts, and leaves the others alone',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const [failing, putOff] = [scene.delivery(), scene.delivery()];
      const times: number[] = [];
      const attempts = scene.attempts(engine, callback, async (attempt) => {
        if (attempt.delivery.id === putOff.id) return attempt.retryIn(FAR_MS, error);
        if (attempt.delivery.id !== failing.id) return attempt.complete();
        times.push(performance.now());
        return attempt.attempt < 3 ? attempt.retryIn(300, error) : attempt.complete();
      });
      await engine.store([putOff]);
      await attempts.begun(1);
      await engine.store([failing]);
      await attempts.begun(2);
      await engine.store([scene.delivery()]);
      await attempts.begun(5);
      assert.equal(attempts.ids.filter((id) => id === putOff.id).length, 1, 'it was tried again long before its time');
      const own = attempts.all.filter(({ delivery }) => delivery.id === failing.id);
      assert.deepEqual(
        own.map(({ attempt }) => attempt),
        [1, 2, 3],
      );
      same(own[2].delivery, own[0].delivery);
      for (const index of [1, 2]) assert.ok(times[index] - times[index - 1] >= 290, 'it was tried again too soon');
    },
  ),

  rule('keeps a dead delivery with its error, and performs it no more', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const cause = { name: 'TypeError', message: 'no address', code: 'E42' };
    const attempts = scene.attempts(engine, callback, (attempt) => attempt.bury({ ...error, cause }));
    const delivery = scene.delivery({ key: 'Ada' });
    await engine.store([delivery]);
    await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
    await attempts.nothingFor();

    const [dead, ...others] = (await engine.list({ ...scene.filter(), state: 'dead', limit: 10 })).found;
    assert.equal(others.length, 0);
    const { storedAt, since, history: _history, ...rest } = dead;
    const { delayMs: _, ...expected } = delivery;
    same(rest, { ...expected, state: 'dead', attempts: 1, error: { ...error, cause } });
    const now = Date.now();
    assert.ok(Math.abs(storedAt.getTime() - now) < 60_000, 'storedAt is not when it was stored');
    assert.ok(since.getTime() >= storedAt.getTime(), 'since is not when it died');
  }),

  rule('retries dead deliveries with all their attempts before them: those asked for', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const deliveries = [scene.delivery(), scene.delivery(), scene.delivery()];
    let isDown = true;
    const attempts = scene.attempts(engine, callback, (attempt) =>
      !isDown ? attempt.complete() : attempt.attempt < 2 ? attempt.retryIn(0, error) : attempt.bury(error),
    );
    await engine.store(deliveries);
    await scene.until('all are dead', async () => (await scene.counts(engine)).dead === 3);
    isDown = false;

    assert.equal(await scene.retry(engine, { callback: 'Bot.announce' }), 0);
    assert.equal(await scene.retry(engine, { ids: [deliveries[1].id, uuidv7()] }), 1);
    const afterOne = await attempts.begun(7);
    assert.deepEqual([afterOne[6].delivery.id, afterOne[6].attempt], [deliveries[1].id, 1]);
    assert.equal(await scene.retry(engine), 2);
    await attempts.begun(9);
    await scene.until('none is left', async () => {
      const { dead, running } = await scene.counts(engine);
      return dead + running === 0;
    });
    assert.equal(await scene.retry(engine), 0);
  }),

  rule('retries the dead in portions, and none that dies again twice in a series', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback, (attempt) => attempt.bury(error));
    for (let times = 0; times < 5; times++) await engine.store([scene.delivery()]);
    await scene.until('all are dead', async () => (await scene.counts(engine)).dead === 5);
    let retried = 0;
    let after: string | undefined;
    for (let portions = 0; portions < 5; portions++) {
      const portion = await engine.retry(scene.filter(), { limit: 2, ...(after !== undefined && { after }) });
      assert.ok(portion.count <= 2, 'a portion is larger than asked for');
      retried += portion.count;
      await attempts.begun(5 + retried);
      await scene.until('all are dead again', async () => (await scene.counts(engine)).dead === 5);
      if ((after = portion.after) === undefined) break;
    }
    assert.equal(after, undefined, 'the series does not end');
    assert.equal(retried, 5);
    same(attempts.ids.slice(5).sort(), attempts.ids.slice(0, 5).sort());
  }),

  rule('discards dead and waiting deliveries, and leaves running ones alone', async (scene) => {
    const callback = scene.callback('Emails.greet', { concurrency: 1 });
    const engine = await scene.open(callback);
    const [dead, running, waiting] = [scene.delivery(), scene.delivery(), scene.delivery()];
    const delayed = scene.delivery({ delayMs: FAR_MS });
    const { open, opened } = gate();
    const attempts = scene.attempts(engine, callback, async (attempt) => {
      if (attempt.delivery.id === dead.id) return attempt.bury(error);
      await opened;
      return attempt.complete();
    });
    await engine.store([dead]);
    await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
    await engine.store([running]);
    await attempts.begun(2);
    await engine.store([waiting, delayed]);
    assert.equal(await scene.discard(engine, [uuidv7()]), 0);
    const ids = [dead, running, waiting, delayed].map(({ id }) => id);
    assert.equal(await scene.discard(engine, ids), 3);
    assert.deepEqual(await scene.counts(engine), { waiting: 0, delayed: 0, running: 1, dead: 0 });
    open();
    await scene.until('the one that ran is done', async () => (await scene.counts(engine)).running === 0);
    await attempts.nothingFor();
    assert.deepEqual(attempts.ids, [dead.id, running.id]);
  }),

  rule('gives back a delivery that was broken off at once, and the attempt does not count', async (scene) => {
    const callback = scene.callback('Emails.greet', { concurrency: 1 });
    const [first, second] = await Promise.all([scene.open(callback), scene.open(callback)]);
    const broken = scene.attempts(first, callback, async (attempt) => {
      await first.stopWorking();
      return attempt.release();
    });
    await first.store([scene.delivery()]);
    await broken.begun(1);
    const attempts = scene.attempts(second, callback);
    const [attempt] = await attempts.begun(1);
    assert.equal(attempt.attempt, 1);
    await scene.until('it is done', async () => (await scene.counts(second)).running === 0);
  }),

  rule('says of an attempt that is settled already that it does not hold any more', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const answers: boolean[] = [];
    const attempts = scene.attempts(engine, callback, async (attempt) => {
      answers.push(await attempt.complete(), await attempt.bury(error), await attempt.retryIn(0, error));
    });
    await engine.store([scene.delivery()]);
    await scene.until('it has answered', () => answers.length === 3);
    assert.deepEqual(answers, [true, false, false]);
    await attempts.nothingFor();
  }),
];
