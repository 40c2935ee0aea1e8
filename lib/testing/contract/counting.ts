import assert from 'node:assert/strict';
import { type DurableEngine, timers } from '../../engine/index.js';
import { type ContractRule, rule } from './rule.js';
import { error, FAR_MS, gate, MOMENT_MS, type Scene } from './scene.js';

const { sleep } = timers;

/** Counting, and since when what waits is due. */
export const countingRules: readonly ContractRule[] = [
  rule('counts by callback', async (scene) => {
    const callback = scene.callback('Emails.greet', { concurrency: 1 });
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback, async (attempt) =>
      attempt.delivery.arguments[0] === 'dead' ? attempt.bury(error) : sleep(60_000, undefined, { ref: false }),
    );
    await engine.store([scene.delivery({ arguments: ['dead'] })]);
    await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
    await engine.store([scene.delivery()]);
    await attempts.begun(2);
    await engine.store([scene.delivery(), scene.delivery(), scene.delivery({ delayMs: FAR_MS })]);
    assert.deepEqual(await scene.counts(engine), { waiting: 2, delayed: 1, running: 1, dead: 1 });
  }),

  rule('says that it has counted exactly where there are few', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    await engine.store([scene.delivery({ delayMs: FAR_MS }), scene.delivery({ delayMs: FAR_MS })]);
    const [counted] = (await engine.counts()).filter(({ event }) => event === callback.event);
    assert.equal(counted.isExact, true);
  }),

  rule('tells since when the oldest of what waits is due, whatever is delayed or runs beside it', async (scene) => {
    const callback = scene.callback('Emails.greet', { concurrency: 1 });
    const engine = await scene.open(callback);
    await engine.store([scene.delivery({ delayMs: FAR_MS })]);
    assert.equal(await oldestDueAt(scene, engine), undefined, 'nothing waits, but something was due');
    // It is the first that is stored, and the last that is due.
    await engine.store([scene.delivery({ delayMs: MOMENT_MS })]);
    await engine.store([scene.delivery()]);
    await tellsTheOldestOf(2, scene, engine);
    const { open, opened } = gate();
    const attempts = scene.attempts(engine, callback, async (attempt) => {
      await opened;
      return attempt.complete();
    });
    await attempts.begun(1);
    await tellsTheOldestOf(1, scene, engine);
    open();
    await scene.until('nothing waits', async () => (await scene.counts(engine)).waiting === 0);
    assert.equal(await oldestDueAt(scene, engine), undefined, 'nothing waits, but something was due');
  }),

  rule(
    'tells since when the oldest of what waits is due, also where an earlier one of its key holds it up',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { isOrdered: true });
      const engine = await scene.open(callback);
      scene.attempts(engine, callback, (attempt) => attempt.bury(error));
      await engine.store([scene.delivery({ key: 'a' })]);
      await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
      await engine.store([scene.delivery({ key: 'a' })]);
      await tellsTheOldestOf(1, scene, engine);
    },
    'order',
  ),
];

async function oldestDueAt(scene: Scene, engine: DurableEngine): Promise<Date | undefined> {
  const { event, callback } = scene.delivery();
  return (await engine.counts()).find((one) => one.event === event && one.callback === callback)?.oldestDueAt;
}

/** So many wait, and one of them is due for the longest, as the list has it. */
async function tellsTheOldestOf(count: number, scene: Scene, engine: DurableEngine): Promise<void> {
  await scene.until(`${count} wait`, async () => (await scene.counts(engine)).waiting === count);
  const listed = (await engine.list({ ...scene.filter(), state: 'waiting', limit: 10 })).found;
  const due = listed.map(({ since }) => since.getTime()).filter((since) => since < Date.now() + FAR_MS / 2);
  assert.equal(due.length, count);
  const oldest = await oldestDueAt(scene, engine);
  assert.equal(oldest?.getTime(), Math.min(...due), 'it is not the oldest that is told of');
}
