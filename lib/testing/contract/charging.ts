import assert from 'node:assert/strict';
import {
  CompletionRefusedError,
  type DurableCallback,
  type EngineAttempt,
  type NewDelivery,
} from '../../engine/index.js';
import { type ContractRule, rule } from './rule.js';
import { error, gate, moment, MOMENT_MS, type Scene } from './scene.js';

/** As callbacks do in an instance that dies. */
const forever = () => new Promise<never>(() => {});

/** The attempts at each of some deliveries: the number of each, and in brackets how many were charged by then. */
const countsOf = (attempts: readonly EngineAttempt[], ...deliveries: readonly NewDelivery[]) =>
  deliveries.map(({ id }) =>
    attempts
      .filter(({ delivery }) => delivery.id === id)
      .map(({ attempt, charged }) => `${attempt} (${charged})`)
      .join(', '),
  );

/** Has an instance die while it performs deliveries of a callback, so many at a time and no more. */
async function diesWhilePerforming(scene: Scene, callbacks: readonly string[], count: number) {
  const declared = callbacks.map((name) => scene.callback(name, { concurrency: count }));
  const crashed = await scene.openBrief(...declared);
  const performed = declared.map((callback) => scene.attempts(crashed, callback, forever));
  const deliveries = declared.flatMap(({ callback }) =>
    Array.from({ length: count }, () => scene.delivery({ callback })),
  );
  await crashed.store(deliveries);
  for (const attempts of performed) await attempts.begun(count);
  await scene.harness.cutOff(crashed);
  return { callbacks: declared, deliveries };
}

/** An instance that dies when it is told to. */
async function mortal(scene: Scene, callback: DurableCallback) {
  const engine = await scene.openBrief(callback);
  const [dying, dead] = [gate(), gate()];
  const die = async () => {
    dying.open();
    await scene.harness.cutOff(engine);
    dead.open();
    return forever();
  };
  return { engine, dying, dead, die };
}

/**
 * Lets instances live and die, one after the other, until no delivery is left. The first dies when it performs all of them, the
 * others when they begin with one that is poison, unless that was charged twice. Returns the attempts that were made.
 */
async function liveAndDie(scene: Scene, poisons: readonly NewDelivery[], innocents: readonly NewDelivery[]) {
  const deliveries = [...poisons, ...innocents];
  const callback = scene.callback('Emails.greet', { concurrency: deliveries.length });
  const left = new Set(deliveries.map(({ id }) => id));
  const all: EngineAttempt[] = [];
  for (let life = 1; left.size > 0; life++) {
    assert.ok(life <= 12, 'what ends its instance is not charged for that');
    const { engine, dying, dead, die } = await mortal(scene, callback);
    scene.attempts(engine, callback, async (attempt) => {
      if (dying.isOpen) return forever();
      all.push(attempt);
      if (life === 1) return all.length === deliveries.length ? die() : forever();
      const { id } = attempt.delivery;
      const isPoison = poisons.some((poison) => poison.id === id);
      if (isPoison && attempt.charged === 1) return die();
      if (await (isPoison ? attempt.bury(error) : attempt.complete())) left.delete(id);
    });
    if (life === 1) await engine.store(deliveries);
    const isOver = () => dead.isOpen || left.size === 0;
    await scene.until('it has died, or nothing is left', isOver, () => all.length);
  }
  return all;
}

/** Rules on what an attempt costs that came to no end, and whom it keeps company. */
export const chargingRules: readonly ContractRule[] = [
  rule('does not charge an attempt that ended with its instance, the first time', async (scene) => {
    const { callbacks, deliveries } = await diesWhilePerforming(scene, ['Emails.greet'], 1);
    const other = await scene.openBrief(...callbacks);
    const [attempt] = await scene.attempts(other, callbacks[0]).begun(1);
    assert.deepEqual(countsOf([attempt], ...deliveries), ['2 (1)']);
  }),

  rule(
    'performs the first of what came back from a dead instance alone, over all callbacks, beside what was never there, and then more at a time',
    async (scene) => {
      const { callbacks, deliveries } = await diesWhilePerforming(scene, ['Emails.greet', 'Bot.announce'], 2);
      const engine = await scene.openBrief(...callbacks);
      const suspects = new Set(deliveries.map(({ id }) => id));
      const [hasBegunBeside, two] = [gate(), gate()];
      let [isFirstThrough, begun] = [false, 0];
      const perform = async (attempt: EngineAttempt) => {
        const { id, callback } = attempt.delivery;
        if (!suspects.has(id)) {
          hasBegunBeside.open();
          return attempt.complete();
        }
        begun++;
        if (begun === 1) {
          await engine.store([scene.delivery({ callback })]);
          await hasBegunBeside.opened;
          await moment();
          assert.equal(begun, 1, 'another ran beside the first that came back from a dead instance');
          isFirstThrough = true;
        } else {
          // The next two run together.
          if (begun === 3) two.open();
          await two.opened;
        }
        if (await attempt.complete()) suspects.delete(id);
      };
      for (const callback of callbacks) scene.attempts(engine, callback, perform);
      const isOver = () => suspects.size === 0 || (begun > 1 && !isFirstThrough);
      await scene.until('each is done', isOver, () => begun);
      assert.ok(isFirstThrough, 'another ran beside the first that came back from a dead instance');
    },
  ),

  rule('lets a delivery die alone whose instance dies each time, and charges the others nothing', async (scene) => {
    const poisons = [scene.delivery(), scene.delivery()];
    const innocents = [scene.delivery(), scene.delivery(), scene.delivery(), scene.delivery()];
    const all = await liveAndDie(scene, poisons, innocents);
    const chargedFor = ({ id }: NewDelivery) =>
      new Set(all.filter(({ delivery }) => delivery.id === id).map(({ charged }) => charged));
    for (const innocent of innocents) assert.deepEqual(chargedFor(innocent), new Set([1]));
    for (const poison of poisons) assert.deepEqual(chargedFor(poison), new Set([1, 2]));
  }),

  rule('counts neither an attempt that was released nor one that never began', async (scene) => {
    const callback = scene.callback();
    const [first, second] = [await scene.open(callback), await scene.open(callback)];
    const { open, opened } = gate();
    const released = scene.attempts(first, callback, async (attempt) => {
      await opened;
      return attempt.release();
    });
    const deliveries = [scene.delivery(), scene.delivery(), scene.delivery()];
    await first.store(deliveries.slice(0, 1));
    await released.begun(1);
    // The instance may have claimed these by the time it stops, and not begun.
    await first.store(deliveries.slice(1));
    await first.stopWorking();
    open();
    const attempts = scene.attempts(second, callback);
    assert.deepEqual(countsOf(await attempts.begun(3), ...deliveries), ['1 (1)', '1 (1)', '1 (1)']);
  }),

  rule(
    'lets no attempt of an earlier claim settle, or keep, what the same instance has claimed again',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { concurrency: 2 });
      const engine = await scene.openBrief(callback);
      const [again, hasTried, done] = [gate(), gate(), gate()];
      const [earlier, later]: boolean[][] = [[], []];
      const performs = [
        async (attempt: EngineAttempt) => {
          await attempt.release();
          await again.opened;
          earlier.push(await attempt.complete(), await attempt.bury(error), await attempt.retryIn(0, error));
          earlier.push(await attempt.release());
          hasTried.open();
          // It goes on, and so might renew the claim.
          await done.opened;
        },
        async () => {
          again.open();
          // It ends without a word, so that its claim runs out.
          await hasTried.opened;
        },
      ];
      const attempts = scene.attempts(engine, callback, (attempt) => {
        const perform = performs.shift();
        return perform ? perform(attempt) : attempt.complete().then((wasOurs) => later.push(wasOurs));
      });
      await engine.store([scene.delivery()]);
      await scene.until('the earlier one has tried', () => hasTried.isOpen);
      assert.deepEqual(earlier, [false, false, false, false]);
      await attempts.begun(3);
      await scene.until('the last has completed', () => later.length === 1);
      done.open();
      assert.deepEqual(later, [true]);
    },
  ),

  rule(
    'lets no attempt of an earlier claim complete in a transaction what the same instance has claimed again',
    async (scene, harness) => {
      const callback = scene.callback('Emails.greet', { concurrency: 2 });
      const engine = await scene.open(callback);
      const [again, hasTried] = [gate(), gate()];
      const answers: unknown[] = [];
      const attempts = scene.attempts(engine, callback, async (attempt) => {
        if (attempts.all.length > 1) {
          again.open();
          await hasTried.opened;
          return answers.push(await attempt.complete());
        }
        await attempt.release();
        await again.opened;
        await harness.transaction!((transaction) => attempt.completeIn(transaction)).then(
          () => answers.push('completed'),
          (reason: Error) => answers.push(reason instanceof CompletionRefusedError ? reason.reason : reason),
        );
        hasTried.open();
      });
      await engine.store([scene.delivery()]);
      await scene.until('both have answered', () => answers.length === 2);
      assert.deepEqual(answers, ['lost', true]);
    },
    'transactions',
  ),

  rule('suspects a delivery no more that has failed since', async (scene) => {
    const { callbacks, deliveries } = await diesWhilePerforming(scene, ['Emails.greet'], 1);
    const [callback] = callbacks;
    const other = await scene.openBrief(callback);
    const attempts = scene.attempts(other, callback, (attempt) =>
      attempts.all.length === 1 ? attempt.retryIn(MOMENT_MS, error) : forever(),
    );
    await attempts.begun(2);
    await scene.harness.cutOff(other);
    const last = await scene.openBrief(callback);
    const [attempt] = await scene.attempts(last, callback).begun(1);
    // The second death is spared, too, as it was no suspect any more.
    assert.deepEqual(countsOf([attempt], ...deliveries), ['4 (2)']);
  }),
];
