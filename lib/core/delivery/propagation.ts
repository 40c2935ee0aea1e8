import { isThenable } from '../async/promises.js';
import { EventsError } from '../errors/events-error.js';
import { propagatorFailed } from '../errors/run-errors.js';
import { isInstance } from '../errors/thrown.js';
import { CAUSATION_ID, CORRELATION_ID, type EventHeaders, readHeaders } from '../events/event-headers.js';
import { type Propagator, propagatorName } from '../options/propagator.options.js';

/**
 * The headers of a run, with what propagators add.
 *
 * @throws EVENTS_PROPAGATOR_FAILED
 */
export function injected(event: string, propagators: readonly Propagator[], headers: EventHeaders): EventHeaders {
  if (propagators.length === 0) return headers;
  const carrier: Record<string, string> = { ...headers };
  const nameOf = (one: Propagator) => propagatorName(propagators, one);
  for (const propagator of propagators) {
    const failed = (problem: string, cause?: unknown) =>
      propagatorFailed(`"${event}" was not run: ${nameOf(propagator)} ${problem}`, cause);
    let returned: unknown;
    try {
      returned = propagator.inject(carrier);
    } catch (cause) {
      // One of our own says itself what to do.
      if (isInstance(cause, EventsError) && cause.code === 'EVENTS_PROPAGATOR_FAILED') {
        throw failed(`found ${withoutPeriod(cause.message)}`);
      }
      throw failed('threw in inject(). Have it leave a header out where there is nothing to write', cause);
    }
    if (isThenable(returned))
      throw failed('returned a promise from inject(), for which no run waits. Have it write the headers at once');
    if (typeof returned === 'object' && returned !== null && returned !== carrier)
      throw failed(
        'returned an object from inject(), which nobody reads. Have it write into the headers that it is given',
      );
  }
  const there = Object.fromEntries(Object.entries(carrier).filter(([, value]) => value !== undefined));
  // The two ids are ours, and count for nothing.
  for (const name of [CORRELATION_ID, CAUSATION_ID]) delete there[name];
  const read = readHeaders(there, (found, remedy) =>
    propagatorFailed(`"${event}" was not run: its propagators have written ${found}. ${withoutPeriod(remedy)}`),
  );
  return Object.freeze({ ...idsOf(headers), ...read });
}

const idsOf = (headers: EventHeaders): EventHeaders =>
  Object.fromEntries(
    [CORRELATION_ID, CAUSATION_ID].flatMap((name) => (name in headers ? [[name, headers[name]]] : [])),
  );

const withoutPeriod = (sentence: string) => sentence.replace(/\.$/, '');

/**
 * Does some work in the contexts that propagators make of headers: the first of them is the outermost.
 *
 * @throws EVENTS_PROPAGATOR_FAILED if one of them has not let the work begin; what one throws otherwise
 */
export function inPropagated(
  propagators: readonly Propagator[],
  of: { readonly headers: EventHeaders },
  work: () => Promise<void>,
): Promise<void> {
  return propagators.length === 0 ? work() : inContexts(propagators, of.headers, work);
}

async function inContexts(
  propagators: readonly Propagator[],
  headers: EventHeaders,
  work: () => Promise<void>,
): Promise<void> {
  let working: Promise<void> | undefined;
  let current = '';
  const begin = () => (working ??= work());
  const around = propagators.reduceRight<() => unknown>(
    (inner, propagator) => () => {
      current = propagatorName(propagators, propagator);
      return propagator.run(headers, inner);
    },
    begin,
  );
  try {
    await around();
  } catch (cause) {
    if (working === undefined)
      throw propagatorFailed(`In run(), ${current} threw before the callback was called`, cause);
    await working;
    throw cause;
  }
  if (working === undefined) {
    throw propagatorFailed(`In run(), ${current} has not called the work that it was given. Have it return work()`);
  }
  // It may not have returned what the work has.
  await working;
}
