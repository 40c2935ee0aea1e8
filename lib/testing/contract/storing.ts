import assert from 'node:assert/strict';
import { uuidv7 } from 'uuidv7';
import { type Json, timers } from '../../engine/index.js';
import { type ContractRule, rule } from './rule.js';
import { error, FAR_MS, gate, moment, same } from './scene.js';

const { sleep } = timers;

/** Rules on storing: each delivery is performed once, by one instance, and only where it belongs. */
export const storingRules: readonly ContractRule[] = [
  rule('performs what is stored, with event, callback, key and arguments as they were', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback);
    const args: Json[] = ['Ädä "quoted" \u2028 😀', 1.5, -1e21, true, null, [[], {}], { 'a b': { c: ['d'] }, $e: '' }];
    const delivery = scene.delivery({ key: 'Ada’s', arguments: args });

    await engine.store([delivery]);

    const [attempt] = await attempts.begun(1);
    const { delayMs: _, ...expected } = delivery;
    same(attempt.delivery, expected);
    assert.equal(attempt.attempt, 1);
    assert.equal(attempt.signal.aborted, false);
  }),

  rule('performs a large delivery', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback);
    const text = 'a😀'.repeat(300_000);
    await engine.store([scene.delivery({ arguments: [text] })]);
    const [attempt] = await attempts.begun(1);
    assert.ok(attempt.delivery.arguments[0] === text, 'the argument has changed');
  }),

  rule('performs each delivery once, and forgets it', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback);
    const deliveries = Array.from({ length: 30 }, () => scene.delivery());

    await Promise.all(deliveries.map((delivery) => engine.store([delivery])));

    await attempts.begun(30);
    await scene.until('all are done', async () => (await scene.counts(engine)).running === 0);
    await attempts.nothingFor();
    assert.deepEqual(attempts.ids.toSorted(), deliveries.map(({ id }) => id).toSorted());
    assert.deepEqual(await scene.counts(engine), { waiting: 0, delayed: 0, running: 0, dead: 0 });
  }),

  rule('performs what was stored before anybody worked, and by an instance that does not work', async (scene) => {
    const callback = scene.callback();
    const storing = await scene.open(callback);
    await storing.store([scene.delivery()]);
    const working = await scene.open(callback);
    const attempts = scene.attempts(working, callback);
    await attempts.begun(1);
    await storing.store([scene.delivery()]);
    await attempts.begun(2);
  }),

  rule('shares deliveries among instances, each performed by one', async (scene) => {
    const callback = scene.callback();
    const engines = await Promise.all([scene.open(callback), scene.open(callback)]);
    const performed = engines.map((engine) =>
      scene.attempts(engine, callback, async (attempt) => {
        await sleep(2);
        await attempt.complete();
      }),
    );
    const deliveries = Array.from({ length: 60 }, () => scene.delivery());
    await Promise.all(deliveries.map((delivery, index) => engines[index % 2].store([delivery])));
    const ids = () => performed.flatMap((attempts) => attempts.ids);
    await scene.until('all have begun', () => ids().length >= 60);
    await moment();
    assert.deepEqual(ids().toSorted(), deliveries.map(({ id }) => id).toSorted());
  }),

  rule('keeps the deliveries of one run to several callbacks apart, though they share an id', async (scene) => {
    const callbacks = [scene.callback('Emails.greet'), scene.callback('Bot.announce')];
    const engine = await scene.open(...callbacks);
    const attempts = callbacks.map((callback) => scene.attempts(engine, callback));
    const id = uuidv7();
    await engine.store(callbacks.map(({ callback }) => scene.delivery({ id, callback })));
    for (const { begun } of attempts.map((one) => ({ begun: one.begun(1) }))) {
      const [{ delivery }] = await begun;
      assert.equal(delivery.id, id);
    }
  }),

  rule('stores all or none: one delivery that it cannot take refuses the others with it', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback);
    const deliveries = [scene.delivery(), scene.delivery({ callback: 'Nobody.declared' }), scene.delivery()];
    await assert.rejects(engine.store(deliveries), 'it stored a delivery to a callback that was never declared');
    await attempts.nothingFor();
    assert.deepEqual(await scene.counts(engine), { waiting: 0, delayed: 0, running: 0, dead: 0 });
  }),

  rule('stores the runs that come at the same moment as one that it cannot take', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback);
    const deliveries = Array.from({ length: 9 }, () => scene.delivery());
    const refused = scene.delivery({ callback: 'Nobody.declared' });
    const storing = [...deliveries.slice(0, 5), refused, ...deliveries.slice(5)].map((one) => engine.store([one]));
    const results = await Promise.allSettled(storing);
    const failed = results.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []));
    assert.deepEqual(failed, [5], 'the fault of one run became that of others, or was none');
    await attempts.begun(9);
    assert.deepEqual(attempts.ids.toSorted(), deliveries.map(({ id }) => id).toSorted());
  }),

  rule('passes over an id that it has stored already, waiting, running or done', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const [waiting, running] = [scene.delivery({ delayMs: FAR_MS }), scene.delivery()];
    const { open, opened } = gate();
    const attempts = scene.attempts(engine, callback, async (attempt) => {
      await opened;
      await attempt.complete();
    });
    await engine.store([waiting]);
    await engine.store([waiting]);
    assert.deepEqual(await scene.counts(engine), { waiting: 0, delayed: 1, running: 0, dead: 0 });
    await engine.store([running]);
    await attempts.begun(1);
    await engine.store([running, waiting]);
    open();
    await scene.until('it is done', async () => (await scene.counts(engine)).running === 0);
    await engine.store([running]);
    await attempts.nothingFor();
    assert.deepEqual(attempts.ids, [running.id]);
  }),

  rule('holds a delayed delivery back until its time', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback);
    await engine.store([scene.delivery({ delayMs: FAR_MS })]);
    assert.deepEqual(await scene.counts(engine), { waiting: 0, delayed: 1, running: 0, dead: 0 });
    const soon = scene.delivery({ delayMs: 400 });
    const storedAt = performance.now();
    await engine.store([soon]);
    await attempts.begun(1);
    assert.ok(performance.now() - storedAt >= 390, 'it began before its time');
    assert.deepEqual(attempts.ids, [soon.id]);
  }),

  rule('performs no more at a time in an instance than its concurrency, and as many', async (scene) => {
    const callback = scene.callback('Emails.greet', { concurrency: 3 });
    const engine = await scene.open(callback);
    let [running, most] = [0, 0];
    const { open, opened } = gate();
    const attempts = scene.attempts(engine, callback, async (attempt) => {
      most = Math.max(most, ++running);
      await opened;
      await sleep(5);
      running--;
      await attempt.complete();
    });
    await engine.store(Array.from({ length: 12 }, () => scene.delivery()));
    await attempts.begun(3);
    await attempts.nothingFor();
    open();
    await attempts.begun(12);
    assert.equal(most, 3);
  }),

  rule('leaves a place to an attempt until its callback is through, though it is settled before', async (scene) => {
    const callback = scene.callback('Emails.greet', { concurrency: 1 });
    const engine = await scene.open(callback);
    const [settled, { open, opened }] = [gate(), gate()];
    const attempts = scene.attempts(engine, callback, async (attempt) => {
      if (attempts.all.length > 1) return attempt.complete();
      // An attempt that takes too long is settled like this.
      await attempt.retryIn(FAR_MS, error);
      settled.open();
      return opened;
    });
    await engine.store([scene.delivery(), scene.delivery()]);
    await scene.until('the first is settled', () => settled.isOpen);
    await moment();
    assert.equal(attempts.all.length, 1, 'another attempt began in the place of one that was not through');
    open();
    await attempts.begun(2);
  }),

  rule('goes on with what waits though nobody waits for how attempts are settled', async (scene) => {
    const callback = scene.callback('Emails.greet', { concurrency: 2 });
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback, async (attempt) => {
      const ways = [() => attempt.complete(), () => attempt.bury(error), () => attempt.retryIn(FAR_MS, error)];
      ways[attempts.all.length % 3]().catch(() => {});
    });
    await engine.store(Array.from({ length: 12 }, () => scene.delivery()));
    const isAgain = () => attempts.all.some(({ attempt }) => attempt > 1);
    await attempts.begun(12);
    await scene.until('none runs', async () => isAgain() || (await scene.counts(engine)).running === 0);
    // A delivery that the engine had lost sight of would begin again once its claim had run out.
    assert.ok(!isAgain(), 'a delivery that was settled, or never begun, began again');
    assert.deepEqual(await scene.counts(engine), { waiting: 0, delayed: 4, running: 0, dead: 4 });
  }),

  rule('lets one callback go on though another is busy', async (scene) => {
    const [slow, quick] = [scene.callback('Slow.go', { concurrency: 1 }), scene.callback()];
    const engine = await scene.open(slow, quick);
    const { open, opened } = gate();
    scene.attempts(engine, slow, () => opened);
    const attempts = scene.attempts(engine, quick);
    await engine.store([
      scene.delivery({ callback: 'Slow.go' }),
      scene.delivery({ callback: 'Slow.go' }),
      scene.delivery(),
    ]);
    await attempts.begun(1);
    open();
  }),
];
