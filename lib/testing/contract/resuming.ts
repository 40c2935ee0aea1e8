import assert from 'node:assert/strict';
import { timers } from '../../engine/index.js';
import { addressOf, pause, pausedSince, resume } from './paused.js';
import { type ContractRule, loneRule, rule } from './rule.js';
import { gate, MOMENT_MS } from './scene.js';

const { sleep } = timers;

/** Which callbacks are paused, who knows of it, and how it ends. */
export const resumingRules: readonly ContractRule[] = [
  rule(
    'has every instance go on when a callback is resumed',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { concurrency: 1 });
      const engines = [await scene.open(callback), await scene.open(callback)];
      const { open, opened } = gate();
      const attempts = engines.map((engine) =>
        scene.attempts(engine, callback, async (attempt) => {
          await opened;
          return attempt.complete();
        }),
      );
      await pause(engines[0], callback);
      await engines[0].store([scene.delivery(), scene.delivery()]);
      const idle = await scene.open(callback);
      await resume(idle, callback);
      // Neither has room for both.
      for (const each of attempts) await each.begun(1);
      open();
    },
    'pause',
  ),

  rule(
    'heeds a pause in an instance that starts later',
    async (scene) => {
      const callback = scene.callback();
      const first = await scene.open(callback);
      await first.store([scene.delivery()]);
      await first.pause!(addressOf(callback));
      await first.stop();
      const later = await scene.open(callback);
      const attempts = scene.attempts(later, callback);
      await attempts.nothingFor();
      assert.ok(await pausedSince(later, callback), 'it is not told of');
      await resume(later, callback);
      await attempts.begun(1);
    },
    'pause',
  ),

  rule(
    'tells since when a callback is paused, also where nothing lies there, and pausing it again changes nothing',
    async (scene) => {
      const callback = scene.callback();
      const engine = await scene.open(callback);
      assert.equal(await pausedSince(engine, callback), undefined);
      assert.equal(await engine.pause!(addressOf(callback)), 1);
      const since = await pausedSince(engine, callback);
      assert.ok(since instanceof Date && Math.abs(Date.now() - since.getTime()) < 60_000, 'it is not told of');
      await sleep(MOMENT_MS);
      assert.equal(await engine.pause!(addressOf(callback)), 0);
      assert.deepEqual(await pausedSince(engine, callback), since);
      assert.equal(await resume(engine, callback), 1);
      assert.equal(await resume(engine, callback), 0);
      assert.equal(await pausedSince(engine, callback), undefined);
    },
    'pause',
  ),

  rule(
    'has a callback paused that is declared for the first time, if it is under a former id, and resumes both',
    async (scene) => {
      const former = scene.callback('Mails.hello');
      const before = await scene.open(former);
      await before.store([scene.delivery({ callback: 'Mails.hello' })]);
      await pause(before, former);
      const callback = scene.callback('Emails.greet', { formerly: ['Mails.hello'] });
      const engine = await scene.open(callback);
      const attempts = scene.attempts(engine, callback);
      await engine.store([scene.delivery()]);
      await attempts.nothingFor(3 * MOMENT_MS);
      assert.ok(await pausedSince(engine, callback), 'it is not told of');
      assert.equal(await resume(engine, callback), 1);
      await attempts.begun(2);
      assert.equal(await pausedSince(engine, former), undefined);
    },
    'pause',
  ),

  loneRule(
    'pauses the callbacks that are meant, of an event or all, and tells how many',
    async (scene) => {
      const callbacks = [scene.callback(), scene.callback('Bot.greet'), { ...scene.callback(), event: 'another' }];
      const engine = await scene.open(...callbacks);
      const arePaused = async () => {
        const since = await Promise.all(callbacks.map((callback) => pausedSince(engine, callback)));
        return since.map((one) => one !== undefined);
      };
      assert.equal(await engine.pause!({ event: callbacks[0].event }), 2);
      assert.deepEqual(await arePaused(), [true, true, false]);
      assert.equal(await engine.resume!({ event: callbacks[0].event, callback: 'Bot.greet' }), 1);
      assert.deepEqual(await arePaused(), [true, false, false]);
      assert.ok((await engine.pause!({})) >= 2);
      assert.deepEqual(await arePaused(), [true, true, true]);
      assert.ok((await engine.resume!({})) >= 3);
      assert.deepEqual(await arePaused(), [false, false, false]);
    },
    'pause',
  ),
];
