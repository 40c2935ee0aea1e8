import { isSchema, show } from '../core/seams.js';
import { EventDefinition, type EventKey } from '../index.js';
import { testingInvalid } from './testing-errors.js';

/** Names the runs of an event: by the event's name or its class, whichever way the event is given. */
export function keyOf(where: string, event: unknown): EventKey {
  if (typeof event === 'string' && event !== '') return event;
  if (event instanceof EventDefinition) return event.name as string;
  if (!isSchema(event) && typeof event === 'function' && typeof event.prototype === 'object') return event;
  throw testingInvalid(where, `${show(event)} as the event`, 'Pass a name, a class, or what defineEvent() returned.');
}

/** Does the same for an instance of an event class; `undefined` for anything else. */
export function classOf(event: unknown): Function | undefined {
  if (typeof event !== 'object' || event === null || event instanceof EventDefinition) return undefined;
  const { constructor } = event;
  return typeof constructor === 'function' && constructor !== Object && constructor !== Array ? constructor : undefined;
}
