import { optionInvalid } from '../errors/callback-errors.js';
import { EventDefinition, isSchema } from '../events/event-definition.js';
import type { AnyDefinition, EventClass, EventKey, EventName } from '../events/event-map.js';
import { type Checks, IS_BOOLEAN, isObject, wrongOption } from './option-checks.js';

/**
 * A durable callback of another application that shares the store. This one stores its deliveries and performs none, and needs
 * nothing of its class.
 *
 * @example
 * EventsModule.forRoot({ engine, remote: [{ event: 'user_joined', callback: 'Emails.greetNewUser' }] })
 */
export interface RemoteCallback {
  /** What it answers: a name, a class or a definition, as in its `@Callback()`. */
  readonly event: EventName | EventClass | AnyDefinition;
  /** Its id there, as `counts()` shows it: `'Emails.greetNewUser'`. */
  readonly callback: string;
  /**
   * Whether it is `ordered` there, so that each run needs a key.
   * @default false
   */
  readonly ordered?: boolean;
}

/** A remote callback, ready to be found by its event. */
export interface CompleteRemote {
  readonly key: EventKey;
  readonly definition?: EventDefinition<string, unknown[], unknown[]>;
  readonly id: string;
  readonly isOrdered: boolean;
}

const CHECKS: Checks = {
  event: {
    isValid: (value) =>
      value instanceof EventDefinition ||
      (typeof value === 'string' && value !== '') ||
      (typeof value === 'function' && value.prototype !== undefined && !isSchema(value)),
    expected: 'Pass a name, a class, or what defineEvent() returned.',
    refusesUndefined: true,
  },
  callback: {
    isValid: (value) => typeof value === 'string' && value !== '',
    expected: `Pass the callback's id, as in 'Emails.greetNewUser'.`,
    refusesUndefined: true,
  },
  ordered: IS_BOOLEAN,
};

const ENTRY = 'Pass { event, callback, ordered }.';
const IS_ENTRY = isObject(ENTRY);

/**
 * Refuses what is wrong and fills in the rest.
 *
 * @throws EVENTS_OPTION_INVALID
 */
export function completeRemote(remote: readonly RemoteCallback[] = []): readonly CompleteRemote[] {
  return remote.map((one, index) => {
    const prefix = `remote[${index}]`;
    if (!IS_ENTRY.isValid(one)) throw optionInvalid(prefix, one, ENTRY);
    // What is missing comes last: it may be there by a wrong name.
    const given = { ...one, event: one.event as unknown, callback: one.callback as unknown };
    const wrong = wrongOption(given, CHECKS);
    if (wrong) throw optionInvalid(`${prefix}.${wrong.option}`, wrong.value, wrong.remedy, wrong.isKnown);
    const { event, callback: id, ordered = false } = one;
    const definition = event instanceof EventDefinition ? event : undefined;
    return { key: definition?.name ?? (event as EventKey), definition, id, isOrdered: ordered };
  });
}
