import { inspect, types } from 'node:util';

const MOST_FIELDS = 10;

/**
 * Shows a value in a message: short, on one line. Of an object it names the fields and does not tell what is in them, which
 * may be a secret.
 */
export const show = (value: unknown): string => showWith(value, { items: true });

/** {@link show} for what an event carries, or may have been meant to carry: the text in an array is not told either. */
export const showCarried = (value: unknown): string => showWith(value, {});

/** {@link show} for something that was thrown: the fields that say what happened are told. */
export const showThrown = (thrown: unknown): string =>
  showWith(thrown, { fields: ['name', 'message', 'code', 'status'] });

/** Says which parts of a value are told: the text in an array, and some fields of an object. */
interface Telling {
  readonly items?: boolean;
  readonly fields?: readonly string[];
}

function showWith(value: unknown, telling: Telling): string {
  try {
    if (isError(value)) return `${value.name}: ${value.message}`;
    if (value instanceof Promise) return 'a promise';
    if (typeof value === 'function') return value.name ? `the function ${value.name}` : 'a function';
    if (typeof value === 'object' && value !== null) return showObject(value, telling);
    return showText(value);
  } catch {
    return 'something that cannot be read';
  }
}

/** Of this realm or another: Node's own errors are of another one within Jest. */
export const isError = (value: unknown): value is Error => value instanceof Error || types.isNativeError(value);

/** An address may hold a password. */
const showText = (value: unknown) =>
  inspect(typeof value === 'string' ? value.replace(/:\/\/\S*@/g, '://…@') : value, {
    breakLength: Infinity,
    maxStringLength: 80,
  });

function showObject(value: object, { items = false, fields = [] }: Telling): string {
  if (types.isDate(value) || types.isRegExp(value)) return inspect(value);
  const showItem = (item: unknown) => (typeof item === 'string' && !items ? `'…'` : showCarried(item));
  if (Array.isArray(value)) return inBraces('[', value.map(showItem), ']');
  const names = Object.keys(value).map((name) => {
    const found: unknown = fields.includes(name) ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;
    return typeof found === 'string' || typeof found === 'number' ? `${name}: ${showText(found)}` : name;
  });
  const type: unknown = (Object.getPrototypeOf(value) as object | null)?.constructor?.name;
  return `${type === 'Object' || typeof type !== 'string' || !type ? '' : `${type} `}${inBraces('{', names, '}')}`;
}

function inBraces(open: string, all: readonly string[], close: string): string {
  const more = all.length > MOST_FIELDS ? [`… ${all.length - MOST_FIELDS} more`] : [];
  return all.length === 0 ? open + close : `${open} ${[...all.slice(0, MOST_FIELDS), ...more].join(', ')} ${close}`;
}

/** The message of somebody else's error, as a sentence. */
export const sentenceOf = (cause: unknown): string => {
  if (!isError(cause)) return sentence(typeof cause === 'string' ? cause : showThrown(cause));
  // Drizzle's own message is the statement.
  const { message, cause: inner } = cause;
  return message.startsWith('Failed query') && inner ? sentenceOf(inner) : sentence(message || cause.name);
};

const sentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`);
