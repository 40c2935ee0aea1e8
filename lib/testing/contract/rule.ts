import assert from 'node:assert/strict';
import { type EngineHarness, Scene } from './scene.js';

export type ContractNeed =
  'transactions' | 'order' | 'pause' | 'postponing' | 'search' | 'history' | 'limits' | 'groups' | 'several sessions';

/** One rule that every engine must keep. */
export interface ContractRule {
  /** A sentence about an engine, to be the title of a test. */
  readonly title: string;
  /**
   * The things that an engine must have for the rule to apply: a capability, or several sessions. An embedded store has one session:
   * no instance can be cut off from it, and no transactions overlap.
   */
  readonly needs: readonly ContractNeed[];
  /** Whether it tells something of all instances on a store: then no other rule may be checked on that at the same time. */
  readonly isLone: boolean;
  /** Rejects, by an assertion, when the rule is broken. */
  check(harness: EngineHarness): Promise<void>;
}

type Check = (scene: Scene, harness: EngineHarness) => Promise<void>;

/** How often a rule is checked while the store, or the machine, stands still. */
const MOST_ROUNDS = 3;

/**
 * Makes a rule whose check has a scene of its own. If it is broken where brief claims were made, and the store has stood still for
 * so long that a sound engine may have lost one, that proves nothing: then it is checked anew, with claims that last twice as long.
 */
export const rule = (title: string, check: Check, ...needs: ContractNeed[]): ContractRule => ({
  title,
  needs,
  isLone: false,
  async check(harness) {
    let { leaseMs } = harness;
    for (let round = 1; ; round++, leaseMs *= 2) {
      const scene = new Scene({ ...harness, leaseMs });
      try {
        await check(scene, scene.harness);
        return assert.deepEqual(scene.reports, [], 'a problem was reported where there was none');
      } catch (error) {
        if (round === MOST_ROUNDS || !scene.hasStoodStill()) throw error;
      } finally {
        await scene.close();
      }
    }
  },
});

/** Makes a rule that is checked while no other is. */
export const loneRule: typeof rule = (...args) => ({ ...rule(...args), isLone: true });
