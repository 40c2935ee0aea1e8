import { isHeaderText, isPlainObject } from '../core/seams.js';

/** Begins a header that holds JSON. Every other header is a string, as it stands. */
const JSON_MARK = 'json:';

/** What a header says of a value that {@link lostIn} finds nothing in. */
export function headerOf(value: unknown): string {
  if (typeof value === 'string' && isHeaderText(value) && !value.startsWith(JSON_MARK)) return value;
  // JSON leaves some control characters as they are.
  return JSON_MARK + JSON.stringify(value).replaceAll(/\p{Cc}/gu, escaped);
}

const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** The value that a header speaks of. */
export function valueOf(header: string | undefined): unknown {
  if (!header?.startsWith(JSON_MARK)) return header;
  try {
    return JSON.parse(header.slice(JSON_MARK.length));
  } catch {
    // It was passed by hand, and is the string that it looks like.
    return header;
  }
}

/** Whether a header says what the value is already; none says that there is none. */
export const isSaidBy = (header: string | undefined, value: unknown): boolean =>
  value === undefined ? header === undefined : !lostIn(value, '') && headerOf(value) === header;

/** Something in a value that JSON does not bring back equal, and the path to it. */
export interface Lost {
  readonly path: string;
  readonly found: unknown;
}

/** Finds the first thing in a value that JSON does not bring back equal. */
export function lostIn(value: unknown, path: string, around: readonly object[] = []): Lost | undefined {
  // -0 arrives as 0, which it equals.
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value))
    return undefined;
  if (typeof value !== 'object' || !isPlain(value) || around.includes(value)) return { path, found: value };
  const isArray = Array.isArray(value);
  for (const [name, inner] of Object.entries(value)) {
    const lost = lostIn(inner, isArray ? `${path}[${name}]` : `${path}.${name}`, [...around, value]);
    if (lost) return lost;
  }
  return undefined;
}

/** Whether it is an array or an object of no class, of this realm or another, with nothing in it that JSON leaves out. */
function isPlain(value: object): boolean {
  if (Object.getOwnPropertySymbols(value).length > 0) return false;
  if (!Array.isArray(value)) return isPlainObject(value);
  return isPlainObject(Object.getPrototypeOf(value)) && Object.keys(value).length === value.length;
}
