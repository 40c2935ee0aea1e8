import { requireHandle } from '../transactions/data-layers.js';
import { type EventHeaders, readHeaders } from '../events/event-headers.js';
import { show } from '../errors/describe.js';
import { withInvalid } from '../errors/run-errors.js';
import {
  type Check,
  IS_DURATION,
  isDeliveryId,
  isPlainObject,
  isShortText,
  MOST_ID_CHARACTERS,
  wrongOption,
} from '../options/option-checks.js';
import type { TransactionHandle } from '../transactions/transaction-handle.js';

/** Says what is about a run, rather than carried by its event. */
export interface RunContext {
  /**
   * The open transaction that the run takes place in, as the data layer hands it out. It stores the deliveries to durable
   * callbacks, and inline callbacks find it as `currentEvent().tx`. Events that they run themselves are in it, too. A
   * transaction that `inTransaction()` has opened need not be passed.
   */
  readonly tx?: TransactionHandle;
  /**
   * The HTTP request in whose context the run takes place: its inline callbacks get the same request-scoped instances
   * as the controller that serves it.
   */
  readonly request?: object;
  /**
   * The key by which ordered callbacks keep their order: deliveries of one key come one at a time, in the order in which
   * they were stored. At most 500 characters.
   */
  readonly key?: string;
  /** How long the deliveries to durable callbacks wait before they are due, in milliseconds. */
  readonly delayMs?: number;
  /**
   * The id of the deliveries to durable callbacks, of at most 255 characters: stored with the same id again, each is delivered
   * once, as long as the engine remembers the id (`keepCompletedMs`). A UUID, or any other text, which is stored beside the UUID
   * that is made of it. Logs and traces show it.
   * @default a new one, of version 7
   */
  readonly id?: string;
  /**
   * What travels with the run to each of its callbacks, as `currentEvent().headers`: a tenant, say. Names as in HTTP, in lower
   * case from then on; names and values have at most 8 KiB together. They are stored in the clear: put no secrets there. Those of a
   * runner from which this one is made stay, unless they have the same name.
   *
   * `correlation-id` names the chain of runs that this one belongs to: pass one that comes from elsewhere, else a chain begins here.
   * @default those of the chain alone, where a callback is called later
   */
  readonly headers?: EventHeaders;
}

/** A transaction that is not there must not become a run outside of any, whose deliveries outlive what is rolled back. */
function isTransaction(value: unknown): boolean {
  if (value !== undefined) return requireHandle(value, 'with({ tx })') !== undefined;
  const remedy =
    'Pass the open transaction itself, or leave the field out to run outside of any that only you have: ' +
    'events.with(tx ? { tx } : {}).';
  throw withInvalid('undefined', remedy, 'with({ tx })');
}

const CHECKS: Record<keyof RunContext, Check> = {
  tx: { isValid: isTransaction, expected: '', refusesUndefined: true },
  request: {
    isValid: (value) => typeof value === 'object' && value !== null && Object.isExtensible(value),
    expected: 'Pass the request object of Express or Fastify.',
  },
  key: {
    isValid: (value) => isShortText(value, 500),
    expected: 'Pass a string of 1 to 500 characters, an order number say.',
  },
  delayMs: IS_DURATION,
  id: {
    isValid: isDeliveryId,
    expected: `Pass a line of 1 to ${MOST_ID_CHARACTERS} characters, a UUID say, or a name: 'welcome:ada@example.org'.`,
    // It would be stored as often as it is run.
    refusesUndefined: true,
  },
  headers: {
    // Those of fetch, and a map, have none that a loop over an object finds.
    isValid: (value) => isPlainObject(value) && readHeaders(value, withInvalid) !== undefined,
    expected: 'Pass a plain object of strings, by name; of others, Object.fromEntries(headers).',
  },
};

/**
 * The context of a runner that is made from another one.
 *
 * @throws EVENTS_WITH_INVALID
 */
export function contextOf(outer: RunContext | undefined, context: RunContext): RunContext {
  checkRunContext(context);
  if (!context.headers) return { ...outer, ...context, ...(outer?.headers && { headers: outer.headers }) };
  const headers = { ...outer?.headers, ...readHeaders(context.headers, withInvalid) };
  return { ...outer, ...context, headers: readHeaders(headers, withInvalid) };
}

/** @throws EVENTS_WITH_INVALID */
function checkRunContext(context: RunContext): void {
  if (typeof context !== 'object' || context === null) throw withInvalid(show(context), 'Pass an object.');
  const wrong = wrongOption(context, CHECKS);
  if (!wrong) return;
  const { option, value, isKnown, isMeant, remedy } = wrong;
  const carried = isMeant ? '' : ' What the event carries is passed to run() after the event.';
  const reason = isKnown ? remedy : `It has no such field. ${remedy}${carried}`;
  throw withInvalid(`${option}: ${show(value)}`, reason);
}
