import assert from 'node:assert/strict';
import { type EngineAttempt, timers } from '../../engine/index.js';
import { type ContractRule, rule } from './rule.js';
import { gate } from './scene.js';

const { sleep } = timers;

const isAborted = ({ signal }: EngineAttempt) => signal.aborted;

/** Rules on instances that stop, crash, or are cut off. */
export const endingRules: readonly ContractRule[] = [
  rule('takes no more after stopWorking(), while what runs goes on and settles', async (scene) => {
    const callback = scene.callback('Emails.greet', { concurrency: 2 });
    const engine = await scene.open(callback);
    const { open, opened } = gate();
    let wasClaimed: boolean | undefined;
    const attempts = scene.attempts(engine, callback, async (attempt) => {
      await opened;
      wasClaimed = await attempt.complete();
    });
    await engine.store([scene.delivery()]);
    await attempts.begun(1);
    await engine.stopWorking();
    await engine.store([scene.delivery()]);
    await attempts.nothingFor();
    open();
    await scene.until('it is completed', () => wasClaimed !== undefined);
    assert.equal(wasClaimed, true);
    await attempts.nothingFor();
    assert.deepEqual(await scene.counts(engine), { waiting: 1, delayed: 0, running: 0, dead: 0 });
  }),

  rule(
    'has what an instance left unfinished performed by another once the claim has run out',
    async (scene, harness) => {
      const callback = scene.callback('Emails.greet', { concurrency: 1 });
      const crashed = await scene.openBrief(callback);
      const unfinished = scene.attempts(crashed, callback, () => sleep(60_000, undefined, { ref: false }));
      const delivery = scene.delivery();
      await crashed.store([delivery]);
      await unfinished.begun(1);
      const other = await scene.openBrief(callback);
      const attempts = scene.attempts(other, callback);
      await harness.cutOff(crashed);
      const [attempt] = await attempts.begun(1);
      assert.deepEqual([attempt.delivery.id, attempt.attempt], [delivery.id, 2]);
    },
  ),

  rule('keeps others from a delivery as long as its instance lives, however long it takes', async (scene, harness) => {
    const callback = scene.callback();
    const [one, other] = await Promise.all([scene.openBrief(callback), scene.openBrief(callback)]);
    const ends: { wasAborted: boolean; wasClaimed: boolean }[] = [];
    const long = async (attempt: EngineAttempt) => {
      await sleep(harness.leaseMs * 2.5);
      ends.push({ wasAborted: isAborted(attempt), wasClaimed: await attempt.complete() });
    };
    const begun = [one, other].map((engine) => scene.attempts(engine, callback, long));
    await one.store([scene.delivery()]);
    await scene.until('it has ended', () => ends.length > 0);
    assert.deepEqual(ends, [{ wasAborted: false, wasClaimed: true }]);
    assert.equal(begun[0].all.length + begun[1].all.length, 1, 'another attempt began while one lived');
  }),

  rule(
    'keeps the claims of an instance while a transaction completes one of them, however long that is open',
    async (scene, harness) => {
      const callback = scene.callback();
      const [one, other] = [await scene.openBrief(callback), await scene.openBrief(callback)];
      const [hasCompleted, mayCommit] = [gate(), gate()];
      const completed = scene.delivery();
      const ends: unknown[] = [];
      const attempts = scene.attempts(one, callback, async (attempt) => {
        if (attempt.delivery.id !== completed.id) await mayCommit.opened;
        else {
          await harness.transaction!(async (transaction) => {
            await attempt.completeIn(transaction);
            hasCompleted.open();
            await mayCommit.opened;
          });
        }
        // The instance need not know at once that the transaction has committed.
        await sleep(harness.leaseMs);
        ends.push([attempt.signal.aborted, await attempt.complete()]);
      });
      await one.store([completed, scene.delivery()]);
      await attempts.begun(2);
      await scene.until('one is completed in the transaction', () => hasCompleted.isOpen);
      const others = scene.attempts(other, callback);
      await others.nothingFor(harness.leaseMs * 2.5);
      mayCommit.open();
      await scene.until('both have ended', () => ends.length === 2);
      assert.deepEqual(ends, [
        [false, true],
        [false, true],
      ]);
      assert.equal(others.all.length, 0, 'another instance has begun one of them');
    },
    'transactions',
    'several sessions',
  ),

  rule(
    'aborts the signal of an attempt before another instance begins with its delivery',
    async (scene, harness) => {
      const callback = scene.callback();
      const cut = await scene.openBrief(callback);
      const { open, opened } = gate();
      const lost = scene.attempts(cut, callback, () => opened);
      await cut.store([scene.delivery(), scene.delivery()]);
      await lost.begun(2);
      const other = await scene.openBrief(callback);
      const wereAborted: boolean[] = [];
      const attempts = scene.attempts(other, callback, async (attempt) => {
        const own = lost.all.filter(({ delivery }) => delivery.id === attempt.delivery.id);
        wereAborted.push(own.length > 0 && own.every(isAborted));
        await attempt.complete();
      });
      await harness.cutOff(cut);
      await attempts.begun(2);
      open();
      assert.deepEqual(wereAborted, [true, true]);
    },
    'several sessions',
  ),

  rule(
    'tells an attempt that its claim has run out, and does not let it settle',
    async (scene, harness) => {
      const callback = scene.callback('Emails.greet', { concurrency: 1 });
      const cut = await scene.openBrief(callback);
      const answers: Record<'cut off' | 'other', boolean[]> = { 'cut off': [], other: [] };
      const lost = scene.attempts(cut, callback, async (attempt) => {
        if (!attempt.signal.aborted) await new Promise((resolve) => attempt.signal.addEventListener('abort', resolve));
        // It may also reject, as an instance that is cut off cannot know.
        answers['cut off'].push(await attempt.complete().catch(() => false));
      });
      await cut.store([scene.delivery()]);
      await lost.begun(1);
      const other = await scene.openBrief(callback);
      const { open, opened } = gate();
      const attempts = scene.attempts(other, callback, async (attempt) => {
        await opened;
        answers.other.push(await attempt.complete());
      });
      await harness.cutOff(cut);
      await attempts.begun(1);
      await scene.until('the one that was cut off has noticed', () => answers['cut off'].length > 0);
      open();
      // Before it was cut off, and on the other instance, a claim may have run out on a busy machine, too.
      await scene.until('the other has completed', () => answers.other.includes(true));
      assert.ok(!answers['cut off'].includes(true), 'it was settled though its claim had run out');
      assert.equal(answers.other.filter(Boolean).length, 1);
    },
    'several sessions',
  ),
];
