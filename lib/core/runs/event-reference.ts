import { isThenable } from '../async/promises.js';
import type { RegisteredEvent } from '../callbacks/registered-event.js';
import { definitionConflict } from '../errors/callback-errors.js';
import { eventInvalid } from '../errors/run-errors.js';
import { checkArguments, EventDefinition, isSchema, NAME_THE_SCHEMA } from '../events/event-definition.js';
import type { EventKey } from '../events/event-map.js';

type Definition = EventDefinition<string, unknown[], unknown[]>;

/** An event and its arguments, as `run()` was given them. */
export interface Reference {
  readonly key: EventKey;
  readonly definition?: Definition;
  readonly args: readonly unknown[];
}

/** @throws EVENTS_EVENT_INVALID */
export function referenceOf(event: unknown, args: readonly unknown[]): Reference {
  if (typeof event === 'string' && event !== '') return { key: event, args };
  if (event instanceof EventDefinition) return { key: event.name, definition: event, args };
  if (isSchema(event)) throw eventInvalid('run()', event, NAME_THE_SCHEMA);
  if (typeof event === 'function') {
    throw eventInvalid('run()', event, `Pass an instance of it: run(new ${event.name || 'TheEvent'}(…)).`);
  }
  if (isThenable(event)) throw eventInvalid('run()', event, 'Await the promise first, and pass what it resolves to.');
  const constructor: unknown = typeof event === 'object' && event !== null && Object.getPrototypeOf(event)?.constructor;
  if (typeof constructor !== 'function' || constructor === Object || constructor === Array) {
    throw eventInvalid('run()', event, 'Pass a name, an instance of an event class, or what defineEvent() returned.');
  }
  return { key: constructor, args: [event] };
}

/**
 * The arguments as the schemas return them; as they were passed, where there are none. A promise only when a schema is
 * asynchronous.
 *
 * @throws EVENTS_DEFINITION_CONFLICT, EVENTS_ARGUMENTS_INVALID, EVENTS_SCHEMA_FAILED
 */
export function checkedArguments(
  known: RegisteredEvent | undefined,
  reference: Reference,
): readonly unknown[] | Promise<unknown[]> {
  const definition = definitionFor(known, reference);
  return definition ? checkArguments(definition, reference.args) : reference.args;
}

/** The schemas that hold: those of the callbacks, else those of the call. Both at once must be the same. */
function definitionFor(known: RegisteredEvent | undefined, { definition }: Reference): Definition | undefined {
  const passed = definition?.schemas.length ? definition : undefined;
  if (known?.definition && passed && known.definition !== passed) {
    throw definitionConflict(known.label, 'run()', 'its callbacks');
  }
  return known?.definition ?? passed;
}
