import { isHeaderName } from '../events/event-headers.js';
import { show } from '../errors/describe.js';
import type { CallbackLimits } from '../engine/limits.js';
import { type Check, type Checks, isCount, isObject, isWhole } from './option-checks.js';

/** Limits the attempts at a callback's deliveries over all instances of the application. At least one is to be given. */
export interface LimitsOptions {
  /**
   * How many attempts begin in any so many milliseconds: `{ limit: 10, perMs: 1_000 }`. A tenth of a time, or a quarter of a
   * second if that is less, is kept in reserve, so that somewhat fewer begin than it would let.
   */
  rate?: RateOptions;
  /** How many attempts run at once. */
  running?: number;
  /**
   * What makes a group of deliveries: the name of a header, in lower case, such as `'tenant'`, or `'key'` for the key of the
   * run. Those that have none are one group. It goes with `runningPerGroup`.
   */
  groupBy?: string;
  /** How many attempts of one group run at once. A group that is full holds up no other, whatever waits in it. */
  runningPerGroup?: number;
}

export interface RateOptions {
  /** How many attempts may begin. */
  limit: number;
  /** In how many milliseconds, 100 or more. */
  perMs: number;
}

const SHORTEST_MS = 100;
/** A month. */
const LONGEST_MS = 31 * 24 * 60 * 60 * 1_000;

const isNeeded = (check: Check): Check => ({ ...check, refusesUndefined: true });

/** The checks of these options, by themselves. */
export const LIMITS_CHECKS: Checks = {
  limits: isObject('Pass { rate: { limit, perMs }, running, groupBy, runningPerGroup }, or some of them.'),
  'limits.rate': isObject('Pass { limit: 10, perMs: 1_000 } for at most 10 in any second.'),
  'limits.rate.limit': isNeeded(isCount(1)),
  'limits.rate.perMs': isNeeded({
    isValid: isWhole(1, SHORTEST_MS, LONGEST_MS),
    expected: `Pass whole milliseconds, from ${SHORTEST_MS} to ${LONGEST_MS} (a month).`,
  }),
  'limits.running': isCount(1),
  'limits.groupBy': {
    isValid: (value) => typeof value === 'string' && isHeaderName(value) && value === value.toLowerCase(),
    expected: (value) =>
      typeof value === 'string' && isHeaderName(value)
        ? `Names of headers are in lower case: pass '${value.toLowerCase()}'.`
        : `Pass the name of a header, in lower case, or 'key'.`,
  },
  'limits.runningPerGroup': isCount(1),
};

/** What makes no sense together: what was found, and what to do. Each option by itself is right already. */
export function senselessLimits(
  limits: LimitsOptions,
  isOrdered: boolean,
): readonly [found: string, remedy: string] | undefined {
  const { rate, running, groupBy, runningPerGroup } = limits;
  if (rate && rate.perMs === undefined) {
    return [`limits.rate: ${show(rate)}, without perMs`, 'Say in how many milliseconds: { limit: 10, perMs: 1_000 }.'];
  }
  if (rate && rate.limit === undefined) {
    return [`limits.rate: ${show(rate)}, without limit`, 'Say how many may begin: { limit: 10, perMs: 1_000 }.'];
  }
  if (groupBy === undefined && runningPerGroup !== undefined) {
    return [
      `limits.runningPerGroup: ${runningPerGroup}, without groupBy`,
      "Say what makes a group: groupBy: 'tenant' for a header, or 'key'; or limit all at once by running.",
    ];
  }
  if (groupBy !== undefined && runningPerGroup === undefined) {
    return [`limits.groupBy: '${groupBy}', without runningPerGroup`, 'Say how many of a group may run at once.'];
  }
  if (running !== undefined && runningPerGroup !== undefined && runningPerGroup > running) {
    return [
      `limits.runningPerGroup: ${runningPerGroup}, more than running: ${running}`,
      'So many of a group can never run: lower it, or raise running.',
    ];
  }
  if (groupBy !== undefined && isOrdered) {
    return [
      `limits.groupBy: '${groupBy}' with ordered: true`,
      groupBy === 'key'
        ? 'Of a key only one runs at a time anyway: remove groupBy and runningPerGroup.'
        : 'What is ordered is limited by rate and running only: remove groupBy and runningPerGroup, or ordered.',
    ];
  }
  if (!rate && running === undefined && groupBy === undefined) {
    return [`limits: ${show(limits)}, which limits nothing`, 'Pass rate, running, or groupBy with runningPerGroup.'];
  }
  return undefined;
}

/** The limits, as an engine takes them. */
export const completeLimits = ({ rate, running, groupBy, runningPerGroup }: LimitsOptions): CallbackLimits => ({
  ...(rate && { rate: { limit: rate.limit, perMs: rate.perMs } }),
  ...(running !== undefined && { running }),
  ...(groupBy !== undefined && runningPerGroup !== undefined && { groups: { by: groupBy, running: runningPerGroup } }),
});
