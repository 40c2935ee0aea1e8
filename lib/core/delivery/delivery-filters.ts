import { types } from 'node:util';
import { type DeliveryFilter, isSearch, SEARCHED } from '../engine/delivery-filter.js';
import type { DeliveryState } from '../engine/kept-delivery.js';
import { idsMissing, queryInvalid } from '../errors/delivery-errors.js';
import { show } from '../errors/describe.js';
import { readHeaders } from '../events/event-headers.js';
import { type Check, type Checks, isPlainObject } from '../options/option-checks.js';
import { idOf } from './given-id.js';

/** What is asked about deliveries, with what may contradict itself. */
export type Question = DeliveryFilter & { readonly state?: DeliveryState; readonly order?: string };

const OR_LEAVE_OUT = ', or leave the field out';

/**
 * The checks of what deliveries have in common.
 *
 * @param refusesUndefined where a field that is there, but `undefined`, would have more changed than was meant
 */
export function traitChecks(refusesUndefined: boolean): Checks {
  const check = (isValid: Check['isValid'], what: string): Check => ({
    isValid,
    expected: `Pass ${what}${refusesUndefined ? OR_LEAVE_OUT : ''}.`,
    refusesUndefined,
  });
  const text = check((value) => typeof value === 'string', 'a string');
  const someText = check((value) => typeof value === 'string' && value !== '', 'a string that is not empty');
  const date = check((value) => types.isDate(value) && !Number.isNaN(value.getTime()), 'a Date that is a time');
  const headers = check(
    (value) => isPlainObject(value) && Object.keys(value).length > 0,
    `an object with one header at least: { tenant: 'acme' }`,
  );
  return {
    key: text,
    headers,
    errorCode: someText,
    errorText: someText,
    storedAfter: date,
    storedBefore: date,
    endedAfter: date,
    endedBefore: date,
  };
}

/** Says which deliveries never fit, whatever there are. @throws EVENTS_QUERY_INVALID */
export function refuseContradiction(method: string, query: Question): void {
  for (const what of ['stored', 'ended'] as const) {
    const [after, before] = [query[`${what}After`], query[`${what}Before`]];
    if (after === undefined || before === undefined || after < before) continue;
    const found = `${what}After: ${show(after)} and ${what}Before: ${show(before)}`;
    throw queryInvalid(method, found, 'No time is between them: pass the earlier one as the first.');
  }
  if (method === 'discard' && Object.keys(query).length === 0) throw nothingSaid();
  if (method === 'repeat' && !query.ids) throw idsMissing(method);
  const { state = 'dead', ids } = query;
  const ended = (['endedAfter', 'endedBefore'] as const).find((field) => query[field] !== undefined);
  if (ended && (state === 'waiting' || state === 'running')) {
    throw queryInvalid(method, `${ended} with state: '${state}'`, 'Only dead and completed deliveries have ended.');
  }
  const error = (['errorCode', 'errorText'] as const).find((field) => query[field] !== undefined);
  if (error && state === 'completed') {
    throw queryInvalid(method, `${error} with state: 'completed'`, 'A completed delivery has succeeded: leave it out.');
  }
  if (ids && isSearch(query) && ids.length > MOST_IDS) {
    throw queryInvalid(method, `${ids.length} ids beside other fields`, `Pass ${MOST_IDS} ids at a time.`);
  }
}

const nothingSaid = () =>
  queryInvalid(
    'discard',
    '{}',
    `Say which deliveries to remove: discard({ callback: … }), or discard({ state: 'dead' }) for all dead ones.`,
  );

/** How many ids an engine is given with other fields of a filter, which it has to check for each. */
const MOST_IDS = 1_000;

/** Names what of a query not every engine can answer. */
export function beyondEvery(method: string, query: Question): string | undefined {
  const field = SEARCHED.find((one) => query[one] !== undefined);
  if (field) return field;
  if (query.state === 'completed') return `state: 'completed'`;
  if (query.order === 'newest') return `order: 'newest'`;
  return method === 'discard' && !query.ids ? 'no ids' : undefined;
}

/** Puts ids, and names of headers, as they are stored. @throws EVENTS_QUERY_INVALID */
export function asStored<Query extends DeliveryFilter>(method: string, query: Query): Query {
  const { ids, headers } = query;
  const errorFor = (found: string, remedy: string) => queryInvalid(method, found, remedy);
  return { ...query, ...(ids && { ids: ids.map(idOf) }), ...(headers && { headers: readHeaders(headers, errorFor) }) };
}
