import { endingRules } from './ending.js';
import { failingRules } from './failing.js';
import { keepingRules } from './keeping.js';
import { orderRules } from './order.js';
import type { ContractRule } from './scene.js';
import { storingRules } from './storing.js';
import { transactionsRules } from './transactions.js';

/**
 * The rules of {@link DurableEngine} as checks that any test runner can run. Each of them also asks that nothing is
 * reported to the host, unless by an instance that was cut off.
 *
 * @example
 * for (const { title, needs, check } of engineContract) {
 *   (needs.every((need) => offered.includes(need)) ? it : it.skip)(title, () => check(harness));
 * }
 */
export const engineContract: readonly ContractRule[] = [
  ...storingRules,
  ...failingRules,
  ...keepingRules,
  ...endingRules,
  ...orderRules,
  ...transactionsRules,
];
