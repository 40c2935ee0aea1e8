import { addressKey } from '../engine/address-name.js';
import type { DeliveryAddress, NewDelivery } from '../engine/delivery.js';
import type { DurableEngine } from '../engine/engine.js';
import type { KeptDelivery } from '../engine/kept-delivery.js';
import { callbackUnknown, repeatFailed } from '../errors/delivery-errors.js';
import { EventsError } from '../errors/events-error.js';
import { CAUSATION_ID } from '../events/event-headers.js';
import { MOST_ID_CHARACTERS } from '../options/option-checks.js';
import type { DeliveriesById } from './delivery-selection.js';
import { givenIdOf, idOf, shownId } from './given-id.js';
import { partsOf } from './portions.js';

/**
 * Stores completed deliveries anew, each to its own callback and to no other of its run. Resolves to their new ids.
 *
 * @param known the callbacks for which this instance can store
 */
export async function repeatAll(
  engine: DurableEngine,
  selection: DeliveriesById,
  known: readonly DeliveryAddress[],
): Promise<string[]> {
  const keys = new Set(known.map(addressKey));
  const again: string[] = [];
  try {
    for await (const page of completedPages(engine, selection)) {
      const unknown = page.find((one) => !keys.has(addressKey(one)));
      if (unknown) throw callbackUnknown(unknown.event, unknown.callback);
      const deliveries = page.map(repeated);
      if (deliveries.length > 0) await engine.store(deliveries);
      again.push(...deliveries.map(shownId));
    }
  } catch (cause) {
    throw cause instanceof EventsError ? cause : repeatFailed(engine.name, again.length, cause);
  }
  return again;
}

async function* completedPages(
  engine: DurableEngine,
  selection: DeliveriesById,
): AsyncGenerator<readonly KeptDelivery[]> {
  for (const part of partsOf(selection)) {
    const query = { ...part, state: 'completed' as const, limit: part.ids.length };
    for (let after: string | undefined, isMore = true; isMore; isMore = after !== undefined) {
      const page = await engine.list({ ...query, ...(after !== undefined && { after }) });
      after = page.after;
      yield page.found;
    }
  }
}

/** The same delivery, under an id that names the old one. */
function repeated({ event, callback, key, headers, arguments: args, ...old }: KeptDelivery): NewDelivery {
  const time = new Date().toISOString();
  const name = (id: string) => `${id} again ${time}`;
  const named = name(shownId(old));
  const id = named.length <= MOST_ID_CHARACTERS ? named : name(old.id);
  return {
    event,
    callback,
    id: idOf(id),
    ...givenIdOf(id),
    ...(key !== undefined && { key }),
    headers: { ...headers, [CAUSATION_ID]: old.id },
    arguments: args,
    delayMs: 0,
  };
}
