import {
  CAUSATION_ID,
  type Checks,
  CORRELATION_ID,
  givenInvalid,
  readHeaders,
  show,
  wrongOption,
} from '../core/seams.js';

const CHECKS: Checks = {
  keys: {
    isValid: (keys) => Array.isArray(keys) && keys.length > 0 && keys.every((key) => typeof key === 'string'),
    expected: (keys) =>
      Array.isArray(keys) && keys.some((key) => typeof key === 'symbol')
        ? "No header is named by a symbol. Put the value under a string, too: cls.set('requestId', cls.getId())."
        : "Pass the keys that are to travel: keys: ['tenant', 'user.id'].",
    refusesUndefined: true,
  },
};

/** Names of headers that every chain of runs writes itself. */
const RESERVED = [CORRELATION_ID, CAUSATION_ID];

/**
 * The keys that `clsPropagator()` was given, each once.
 *
 * @throws EVENTS_OPTION_INVALID
 */
export function requireKeys(options: { readonly keys?: readonly string[] }): readonly string[] {
  const refused = (found: string, remedy: string) => givenInvalid('clsPropagator()', found, remedy);
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw refused(show(options), "Pass an object: { keys: ['tenant'] }.");
  }
  const wrong = wrongOption({ keys: undefined, ...options }, CHECKS);
  if (wrong) {
    const { option, value, isKnown, isMeant, remedy } = wrong;
    const found = `${option}: ${show(value)}${isKnown ? '' : ', which is not an option of it'}`;
    throw refused(found, isKnown || isMeant ? remedy : 'The only option is keys.');
  }
  const keys = [...new Set(options.keys)];
  readHeaders(Object.fromEntries(keys.map((key) => [key, ''])), (found, remedy) =>
    refused(`keys: ${show(options.keys)}, which would write ${found}`, remedy),
  );
  for (const key of keys) {
    if (RESERVED.includes(key.toLowerCase())) {
      throw refused(
        `the key ${show(key)}, a header that every run writes itself`,
        'Use another key, or read it from currentEvent().headers.',
      );
    }
    const within = keys.find((other) => other.startsWith(`${key}.`));
    if (within) throw refused(`the keys ${show(key)} and ${show(within)}, which is within it`, 'Keep one of them.');
  }
  return keys;
}
