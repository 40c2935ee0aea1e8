import { beforeAll, it } from '@jest/globals';
import { type ContractNeed, engineContract, type EngineHarness } from 'nestjs-callbacks/testing';
import { deferred } from './app.js';

export interface KeepingTheContract {
  /** What the engine has of what rules need. */
  readonly offers?: readonly ContractNeed[];
  /** How many rules are checked at the same time. Much of a check is waiting. */
  readonly atATime: number;
}

/** A spec for each rule of the contract that applies to an engine. */
export function keepsTheContract(harness: () => EngineHarness, { offers = [], atATime }: KeepingTheContract): void {
  const rules = engineContract.filter(({ needs }) => needs.every((need) => offers.includes(need)));
  const checks = rules.map(({ title, check, isLone }) => ({ title, check, isLone, ...deferred() }));

  // The rules do not meet, as each has an event of its own, except for the lone ones; the specs only tell what came of them.
  beforeAll(() => {
    const checkAll = async (waiting: typeof checks, most: number) => {
      const lane = async (): Promise<void> => {
        for (let next; (next = waiting.shift());) {
          next.promise.catch(() => {});
          await next.check(harness()).then(next.resolve, next.reject);
        }
      };
      await Promise.all(Array.from({ length: Math.min(most, waiting.length) }, lane));
    };
    const [lone, others] = [checks.filter(({ isLone }) => isLone), checks.filter(({ isLone }) => !isLone)];
    void checkAll(others, atATime).then(() => checkAll(lone, 1));
  });

  it.each(checks.map(({ title, promise }) => [title, promise] as const))('%s', (_title, promise) => promise);
}
