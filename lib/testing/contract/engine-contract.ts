import { chargingRules } from './charging.js';
import { countingRules } from './counting.js';
import { dutyRules } from './duty.js';
import { endingRules } from './ending.js';
import { failingRules } from './failing.js';
import { filteringRules } from './filtering.js';
import { headersRules } from './headers.js';
import { historyRules } from './history.js';
import { keepingRules } from './keeping.js';
import { limitsRules } from './limits.js';
import { orderRules } from './order.js';
import { postponingRules } from './postponing.js';
import { pausingRules } from './pausing.js';
import { resumingRules } from './resuming.js';
import type { ContractRule } from './rule.js';
import { searchingRules } from './searching.js';
import { storingRules } from './storing.js';
import { togetherRules } from './together.js';
import { transactionsRules } from './transactions.js';

/**
 * Checks the rules of {@link DurableEngine}, with any test runner. Each check also fails when an instance that was not cut
 * off reports something to its host. How long an engine takes to answer does not matter: order, counts and events decide.
 * Check one rule after the other. Those that are not lone may be checked at the same time.
 *
 * @example
 * for (const { title, needs, check } of engineContract) {
 *   (needs.every((need) => offered.includes(need)) ? it : it.skip)(title, () => check(harness));
 * }
 */
export const engineContract: readonly ContractRule[] = [
  ...storingRules,
  ...headersRules,
  ...failingRules,
  ...postponingRules,
  ...countingRules,
  ...keepingRules,
  ...searchingRules,
  ...filteringRules,
  ...historyRules,
  ...endingRules,
  ...chargingRules,
  ...orderRules,
  ...transactionsRules,
  ...dutyRules,
  ...pausingRules,
  ...resumingRules,
  ...limitsRules,
  ...togetherRules,
];
