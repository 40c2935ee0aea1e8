import assert from 'node:assert/strict';
import { type DurableCallback, type DurableEngine, timers } from '../../engine/index.js';
import { HEEDED_MS, pause, resume } from './paused.js';
import { type ContractRule, rule } from './rule.js';
import { type Attempts, error, gate, MOMENT_MS, same, type Scene } from './scene.js';

const { sleep } = timers;

/** So many have begun on some instances together, each as its first attempt. */
async function allBegun(scene: Scene, attempts: readonly Attempts[], count: number): Promise<void> {
  const begun = () => attempts.flatMap(({ all }) => all);
  const number = () => begun().length;
  await scene.until(`${count} attempts have begun`, () => number() >= count, number);
  for (const { attempt, charged } of begun()) assert.deepEqual({ attempt, charged }, { attempt: 1, charged: 1 });
}

/** Has two deliveries come back: one is to be tried again later than the pause, and one is dead. */
async function comingBack(scene: Scene, engine: DurableEngine, callback: DurableCallback): Promise<Attempts> {
  const attempts = scene.attempts(engine, callback, (attempt) => {
    if (attempt.attempt > 1 || attempt.delivery.arguments[0] === 'delayed') return attempt.complete();
    return attempt.delivery.arguments[0] === 'dies' ? attempt.bury(error) : attempt.retryIn(HEEDED_MS + 1, error);
  });
  await engine.store([scene.delivery({ arguments: ['dies'] }), scene.delivery({ arguments: ['fails'] })]);
  await scene.until('one is dead, and one is to be tried again', async () => {
    const { dead, delayed } = await scene.counts(engine);
    return dead + delayed === 2;
  });
  return attempts;
}

/** What begins while callbacks are paused, and what goes on. */
export const pausingRules: readonly ContractRule[] = [
  rule(
    'begins nothing of a paused callback, whoever stores it, while others go on, and charges nothing for that',
    async (scene) => {
      const callbacks = [scene.callback(), scene.callback('Bot.greet')];
      const engines = [await scene.open(...callbacks), await scene.open(...callbacks)];
      const [paused, others] = callbacks.map((callback) => engines.map((engine) => scene.attempts(engine, callback)));
      await pause(engines[0], callbacks[0]);
      for (const engine of engines) await engine.store([scene.delivery(), scene.delivery({ callback: 'Bot.greet' })]);
      await allBegun(scene, others, 2);
      for (const attempts of paused) await attempts.nothingFor();
      assert.equal((await scene.counts(engines[1])).waiting, 2);
      await resume(engines[1], callbacks[0]);
      await allBegun(scene, paused, 2);
    },
    'pause',
  ),

  rule(
    'begins nothing of a paused callback that comes due: after a delay, to be tried again, or retried when it was dead',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const attempts = await comingBack(scene, engine, callback);
      await pause(engine, callback);
      await engine.store([scene.delivery({ arguments: ['delayed'], delayMs: MOMENT_MS / 3 })]);
      await scene.retry(engine);
      await attempts.nothingFor(3 * MOMENT_MS);
      await scene.until('all are due', async () => (await scene.counts(engine)).waiting === 3);
      await attempts.nothingFor();
      assert.equal(await resume(engine, callback), 1);
      await attempts.begun(5);
    },
    'pause',
  ),

  rule(
    'has what runs go on when its callback is paused, and settles it as ever',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      const { open, opened } = gate();
      const attempts = scene.attempts(engine, callback, async (attempt) => {
        await opened;
        if (attempt.attempt > 1 || attempt.delivery.arguments[0] !== 'fails') return attempt.complete();
        return attempt.retryIn(0, error);
      });
      await engine.store([scene.delivery(), scene.delivery({ arguments: ['fails'] })]);
      await attempts.begun(2);
      await pause(engine, callback);
      assert.equal((await scene.counts(engine)).running, 2, 'what runs does not go on');
      open();
      await scene.until('one is done', async () => (await scene.counts(engine)).running === 0);
      same(await scene.counts(engine), { waiting: 1, delayed: 0, running: 0, dead: 0 });
      await attempts.nothingFor();
      await resume(engine, callback);
      const [, , again] = await attempts.begun(3);
      assert.deepEqual([again.attempt, again.charged], [2, 2]);
    },
    'pause',
  ),

  rule(
    'begins nothing of a paused callback that comes back from an instance that died',
    async (scene, harness) => {
      const callback = scene.callback();
      const dying = await scene.openBrief(callback);
      const dead = scene.attempts(dying, callback, () => sleep(60_000, undefined, { ref: false }));
      await dying.store([scene.delivery()]);
      await dead.begun(1);
      await harness.cutOff(dying);
      const engine = await scene.openBrief(callback);
      await pause(engine, callback);
      const attempts = scene.attempts(engine, callback);
      await scene.until('it has come back', async () => (await scene.counts(engine)).waiting === 1);
      await attempts.nothingFor(harness.leaseMs);
      await resume(engine, callback);
      const [again] = await attempts.begun(1);
      assert.equal(again.attempt, 2);
    },
    'pause',
    'several sessions',
  ),

  rule(
    'keeps the order of a key over a pause',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engine = await scene.open(callback);
      const { open, opened } = gate();
      const attempts = scene.attempts(engine, callback, async (attempt) => {
        await opened;
        return attempt.complete();
      });
      const stored = Array.from({ length: 4 }, () => scene.delivery({ key: 'a' }));
      for (const delivery of stored.slice(0, 2)) await engine.store([delivery]);
      await attempts.begun(1);
      await pause(engine, callback);
      open();
      await scene.until('the first is done', async () => (await scene.counts(engine)).running === 0);
      for (const delivery of stored.slice(2)) await engine.store([delivery]);
      await attempts.nothingFor();
      await resume(engine, callback);
      await attempts.begun(4);
      assert.deepEqual(
        attempts.ids,
        stored.map(({ id }) => id),
      );
    },
    'pause',
    'order',
  ),
];
