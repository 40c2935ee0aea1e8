import { currentEvent } from '../callbacks/current-event.js';
import type { RegisteredEvent } from '../callbacks/registered-event.js';
import { idOf } from '../delivery/given-id.js';
import { newId } from '../delivery/new-id.js';
import { injected } from '../delivery/propagation.js';
import { CAUSATION_ID, CORRELATION_ID, type EventHeaders } from '../events/event-headers.js';
import type { Propagator } from '../options/propagator.options.js';
import type { RunContext } from './run-context.js';
import type { Around } from './run-in-order.js';

const NOTHING: RunContext = {};

/** The surroundings of a run that begins a chain, and of which nothing else is known. Most chains are never asked for. */
export class ChainBegun implements Around {
  readonly request = undefined;
  readonly transaction = undefined;
  readonly afterInline = undefined;
  private chain: EventHeaders | undefined;

  get headers(): EventHeaders {
    return (this.chain ??= Object.freeze({ [CORRELATION_ID]: newId() }));
  }
}

/**
 * What is about a run, with the id of its deliveries and all of its headers, if something of it is called later, or it is a part
 * of something that has headers. Of other runs, it is what was passed.
 *
 * @throws EVENTS_PROPAGATOR_FAILED
 */
export function aboutRun(
  event: RegisteredEvent,
  passed: RunContext = NOTHING,
  propagators: readonly Propagator[],
): RunContext {
  const { durable, held, background } = event;
  const isCalledLater = durable.length + held.length + background.length > 0;
  const around = currentEvent();
  if (!isCalledLater && !around) return passed;
  const correlation = around?.headers[CORRELATION_ID];
  // What an inline callback runs is made in the delivery that has run its event.
  const causing = around?.delivery?.id;
  const causation = causing === undefined ? around?.headers[CAUSATION_ID] : idOf(causing);
  const headers = (first: string | undefined): EventHeaders =>
    Object.freeze({
      ...(first !== undefined && { [CORRELATION_ID]: first }),
      ...passed.headers,
      ...(causation !== undefined && { [CAUSATION_ID]: causation }),
    });
  if (!isCalledLater) return { ...passed, headers: headers(correlation) };
  const id = durable.length > 0 ? (passed.id ?? newId()) : undefined;
  const all = injected(event.label, propagators, headers(correlation ?? (id === undefined ? newId() : idOf(id))));
  return { ...passed, ...(id !== undefined && { id }), headers: all };
}
