import assert from 'node:assert/strict';
import { type EngineHarness, Scene } from './scene.js';

export type ContractNeed = 'transactions' | 'order' | 'several sessions';

/** One rule that every engine must keep. */
export interface ContractRule {
  /** A sentence about an engine, to be the title of a test. */
  readonly title: string;
  /**
   * The things that an engine must have for the rule to apply: a capability, or several sessions. An embedded store has one session:
   * no instance can be cut off from it, and no transactions overlap.
   */
  readonly needs: readonly ContractNeed[];
  /** Rejects, by an assertion, when the rule is broken. */
  check(harness: EngineHarness): Promise<void>;
}

type Check = (scene: Scene, harness: EngineHarness) => Promise<void>;

async function checkIn(scene: Scene, check: Check): Promise<void> {
  try {
    await check(scene, scene.harness);
    assert.deepEqual(scene.reports, [], 'a problem was reported where there was none');
  } finally {
    await scene.close();
  }
}

/** Makes a rule whose check has a scene of its own. */
export const rule = (title: string, check: Check, ...needs: ContractNeed[]): ContractRule => ({
  title,
  needs,
  check: (harness) => checkIn(new Scene(harness), check),
});

/** How often a rule on claims that are kept is checked on a machine that stands still. */
const MOST_ROUNDS = 3;

/**
 * Makes a rule on brief claims that are kept. If a claim runs out meanwhile that nobody but its instance has to do with, the machine
 * has stood still for as long as a claim lasts: that proves nothing, so the rule is checked anew.
 */
export const keepingRule = (title: string, check: Check, ...needs: ContractNeed[]): ContractRule => ({
  title,
  needs,
  async check(harness) {
    for (let round = 1; ; round++) {
      const scene = new Scene(harness);
      let hasStoodStill = false;
      try {
        return await checkIn(scene, async () => {
          const { signal } = await scene.witness();
          await check(scene, scene.harness).finally(() => (hasStoodStill = signal.aborted));
        });
      } catch (error) {
        if (!hasStoodStill || round === MOST_ROUNDS) throw error;
      }
    }
  },
});
