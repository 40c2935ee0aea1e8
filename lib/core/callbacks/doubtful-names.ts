import { type EventKey, eventLabel } from '../events/event-map.js';
import type { Found } from './callback-discovery.js';

/** A class by whose name deliveries are addressed. */
interface Named {
  readonly type: Function;
  readonly what: string;
  readonly remedy: string;
}

const KEEP = 'Have the bundler keep the names of classes (keepNames, keep_classnames)';

/**
 * The warnings of durable callbacks whose address hangs on the name of a class that looks like a bundler's: another build may
 * give it to another class, and then the deliveries that wait go to another callback.
 */
export function doubtfulNames(found: readonly (readonly [EventKey, readonly Found[]])[]): string[] {
  const named: Named[] = [];
  for (const [key, callbacks] of found) {
    const durable = callbacks.filter((callback) => callback.durable);
    if (durable.length > 0) named.push(...namedBy(key, durable));
  }
  if (named.length === 0) return [];
  const classes = [...named, ...found.flatMap(([, callbacks]) => callbacks)].map(({ type }) => type);
  const byName = new Map<string, Set<Function>>();
  for (const type of classes) byName.set(type.name, (byName.get(type.name) ?? new Set()).add(type));
  const warnings = named.flatMap(({ type, what, remedy }) => {
    const problem = problemOf(type.name, byName);
    return problem ? `${what} ${problem} ${KEEP}, or ${remedy}.` : [];
  });
  return [...new Set(warnings)];
}

function namedBy(key: EventKey, durable: readonly Found[]): Named[] {
  const label = eventLabel(key);
  const hosts = durable
    .filter(({ declaration }) => declaration.options.id === undefined)
    .map(({ id, type }) => ({
      type,
      what: `Deliveries of "${label}" to ${id} are addressed by the name of its class,`,
      remedy: 'give the callback an id of its own: @Callback(event, { id: … })',
    }));
  if (typeof key !== 'function') return hosts;
  const what = `Deliveries of "${label}" are addressed by the name of the event's class,`;
  return [...hosts, { type: key, what, remedy: 'give the event a name of its own: defineEvent()' }];
}

/** As minifiers name classes. */
const MINIFIED = /^(?:[\w$]{0,2}|[a-z_$][\w$]{2})$/;
/** As bundlers number those of one name: `Greetings2`, `Greetings$1`, `Greetings_1`. */
const NUMBERED = /^(.+?)(?:[$_]?\d+)$/;
const ALWAYS_NUMBERED = /\$\d+$/;

function problemOf(name: string, byName: ReadonlyMap<string, ReadonlySet<Function>>): string | undefined {
  if (name === '') return 'which has none. Another build may find another.';
  if (MINIFIED.test(name))
    return 'which looks like one that a minifier made up: another build may give it to another class.';
  if (byName.get(name)!.size > 1)
    return 'which another class has, too: a bundler will number them, in no order to rely on.';
  const [, base = ''] = NUMBERED.exec(name) ?? [];
  if (ALWAYS_NUMBERED.test(name) || byName.has(base)) {
    return 'which looks numbered by a bundler: another build may give the number to another class.';
  }
  return undefined;
}

/** Whether a name looks as if it were to stand for several. */
export const isPattern = (key: EventKey) => typeof key === 'string' && key.includes('*');

export const patternWarning = (event: string, callback: string) =>
  `"${event}" is answered by ${callback}. Names are matched exactly, so only a run of that very name calls it. ` +
  'Stack one @Callback() per event; or make it one class event, with a field that says which it is.';
