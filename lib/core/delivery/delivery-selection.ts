import type { DeliveryFilter, DeliveryTraits } from '../engine/delivery-filter.js';
import type { DeliveriesOrder } from '../engine/delivery-query.js';
import type { DeliveryState } from '../engine/kept-delivery.js';
import { queryInvalid } from '../errors/delivery-errors.js';
import { show } from '../errors/describe.js';
import {
  type Check,
  type Checks,
  isCount,
  isDeliveryId,
  MOST_ID_CHARACTERS,
  wrongOption,
} from '../options/option-checks.js';
import { refuseContradiction, traitChecks } from './delivery-filters.js';

/** Names deliveries one by one: an id names a run, which has one to each of its durable callbacks. */
export interface DeliveriesById {
  /** The event's name, where the callback answers several and runs of theirs were given one id. */
  readonly event?: string;
  readonly callback: string;
  /** As they were given to `events.with({ id })`, or as `list()` and the log show them. */
  readonly ids: readonly string[];
}

/** Says which deliveries are meant: those that fit every field given, or all. */
export type DeliverySelection = DeliveryTraits &
  (DeliveriesById | { readonly event?: string; readonly callback?: string; readonly ids?: never });

/** Says which deliveries to remove: those that fit every field given, of which there is one at least. */
export type DiscardSelection = DeliverySelection & {
  /** Only those that wait, or only dead ones. Both, if it is left out. */
  readonly state?: 'waiting' | 'dead';
};

/** Says which callbacks are meant: those that fit every field given, or all. */
export interface CallbackSelection {
  readonly event?: string;
  readonly callback?: string;
}

/** Says which deliveries to list: those that fit every field given. */
export type DeliveriesQuery = DeliverySelection & {
  /**
   * In which state.
   * @default 'dead'
   */
  readonly state?: DeliveryState;
  /**
   * How many, at most 1,000.
   * @default 100
   */
  readonly limit?: number;
  /**
   * Which come first: those that were stored first, or last; of completed ones, those that were completed first, or last.
   * @default 'oldest'
   */
  readonly order?: DeliveriesOrder;
  /** Continue where the page before has ended: its `after`. */
  readonly after?: string;
};

/**
 * Refuses what says wrongly which deliveries are meant.
 *
 * @param method of `EventDeliveries`
 * @throws EVENTS_QUERY_INVALID
 */
export function requireSelection(method: string, query: DeliveryFilter, checks: Checks): void {
  refuseWrong(method, query, checks);
  if (query.ids && query.callback === undefined) throw callbackMissing(method);
  refuseContradiction(method, query);
}

/** @throws EVENTS_QUERY_INVALID */
export function refuseWrong(method: string, options: object, checks: Checks): void {
  if (typeof options !== 'object' || options === null) throw queryInvalid(method, show(options), 'Pass an object.');
  const wrong = wrongOption(options, checks);
  if (wrong) throw queryInvalid(method, `${wrong.option}: ${show(wrong.value)}`, wrong.remedy);
}

const callbackMissing = (method: string) =>
  queryInvalid(
    method,
    'ids without a callback',
    `An id names all deliveries of a run. Say which one is meant: ${method}({ callback: …, ids: [ … ] }).`,
  );

const AFTER = 'Pass the `after` of the page before, as it is.';

export const cursorInvalid = (after: unknown) => queryInvalid('list', `after: ${show(after)}`, AFTER);

const isName = { isValid: (value: unknown) => typeof value === 'string', expected: 'Pass a string.' };

const areIds: Check = {
  isValid: (value) => Array.isArray(value) && value.every(isDeliveryId),
  expected: `Pass an array of delivery ids, each a line of 1 to ${MOST_ID_CHARACTERS} characters.`,
  refusesUndefined: true,
};

/** What may be left out of a list means more than was asked for, which only shows more. An id that is missing hides one. */
const FILTER_CHECKS: Checks = { event: isName, callback: isName, ids: areIds, ...traitChecks(false) };

const isNameGiven = {
  ...isName,
  expected: 'Pass a string, or leave the field out if all are meant.',
  refusesUndefined: true,
};

/** What is missing here would have more changed than was meant. */
export const SELECTION_CHECKS: Checks = {
  event: isNameGiven,
  callback: isNameGiven,
  ids: areIds,
  ...traitChecks(true),
};

export const DISCARD_CHECKS: Checks = {
  ...SELECTION_CHECKS,
  state: {
    isValid: (value) => ['waiting', 'dead'].includes(value),
    expected: `Pass 'waiting' or 'dead', or leave the field out if both are meant.`,
    refusesUndefined: true,
  },
};

/** The same where each delivery must be named. */
export const REPEAT_CHECKS: Checks = { event: isNameGiven, callback: isNameGiven, ids: areIds };

/** The same where callbacks are meant, and never single deliveries. */
export const CALLBACK_CHECKS: Checks = { event: isNameGiven, callback: isNameGiven };

export const LIST_CHECKS: Checks = {
  ...FILTER_CHECKS,
  state: {
    isValid: (value) => ['waiting', 'running', 'dead', 'completed'].includes(value),
    expected: `Pass 'waiting', 'running', 'dead' or 'completed'.`,
  },
  order: { isValid: (value) => ['oldest', 'newest'].includes(value), expected: `Pass 'oldest' or 'newest'.` },
  limit: {
    isValid: (value) => isCount(1).isValid(value) && value <= 1_000,
    expected: 'Pass a whole number from 1 to 1000.',
  },
  after: { isValid: (value) => typeof value === 'string', expected: AFTER },
};

export const WATCHING_CHECKS: Checks = {
  onProgress: { isValid: (value) => typeof value === 'function', expected: 'Pass a function.' },
  signal: { isValid: (value) => typeof value?.aborted === 'boolean', expected: 'Pass an AbortSignal.' },
};
