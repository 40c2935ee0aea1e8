import { optionInvalid } from '../errors/callback-errors.js';
import type { EventHeaders } from '../events/event-headers.js';

/**
 * Carries something that an application keeps in an async context, a tenant say, from where an event is run to where callbacks are
 * called that do not run in that context any more: to another process, to each attempt, to the end of a transaction.
 *
 * @example
 * const tenants = new AsyncLocalStorage<string>();
 * const tenantPropagator: Propagator = {
 *   inject: (headers) => void (headers.tenant ??= tenants.getStore()!),
 *   run: (headers, work) => tenants.run(headers.tenant, work),
 * };
 */
export interface Propagator {
  /**
   * Writes what is to travel into the headers of a run, which has callbacks that are called later. What was passed to
   * `events.with({ headers })` is there already. A value that is `undefined` is left out.
   */
  inject(headers: Record<string, string>): void;
  /** Does the work in an async context made of the headers, and returns what the work returns. */
  run<T>(headers: EventHeaders, work: () => T): T;
}

const EXPECTED = 'Pass { inject(headers), run(headers, work) }.';

/** @throws EVENTS_OPTION_INVALID */
export function requirePropagators(propagators: readonly Propagator[]): readonly Propagator[] {
  for (const [index, one] of propagators.entries()) {
    const isOne = typeof one?.inject === 'function' && typeof one.run === 'function';
    if (!isOne) throw optionInvalid(`propagators[${index}]`, one, EXPECTED);
  }
  return propagators;
}

/** The name of one of the propagators in messages: its class, or else its place. */
export const propagatorName = (propagators: readonly Propagator[], propagator: Propagator): string => {
  const { name } = (propagator as object).constructor;
  return name && name !== 'Object' ? `propagator ${name}` : `propagators[${propagators.indexOf(propagator)}]`;
};
