import { show } from '../errors/describe.js';

/**
 * What travels with a run to each of its callbacks, beside its arguments: a tenant, ids, the context of a trace. Names are in lower
 * case. Headers are stored in the clear with durable deliveries: put no secrets there.
 */
export type EventHeaders = Readonly<Record<string, string>>;

/** Of a run that has none. */
export const NO_HEADERS: EventHeaders = Object.freeze({});

/** Names the chain of runs that one has set off. */
export const CORRELATION_ID = 'correlation-id';
/** Names the delivery in which a run was made. */
export const CAUSATION_ID = 'causation-id';

/** The most bytes that names and values have together, in UTF-8. */
export const MOST_HEADER_BYTES = 8_192;

/** What a name of HTTP may be made of. */
const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;
/** What HTTP takes in no value, and what Postgres takes in no text. */
const UNSAFE = /[^\t\P{Cc}]|\p{Surrogate}/u;

/** Whether a text can be the name of a header, whatever its case. */
export const isHeaderName = (name: string): boolean => TOKEN.test(name) && name !== '__proto__';

/** The bytes that count. */
export const sizeOfHeaders = (headers: EventHeaders): number =>
  Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + Buffer.byteLength(value), 0);

/** Whether a text can be the value of a header. */
export const isHeaderText = (text: string): boolean => !UNSAFE.test(text);

/**
 * Puts the names of headers in lower case.
 *
 * @param errorFor makes what is thrown where they are wrong, of what was found and what to do
 */
export function readHeaders(
  given: Readonly<Record<string, unknown>>,
  errorFor: (found: string, remedy: string) => Error,
): EventHeaders {
  const headers = new Map<string, string>();
  for (const [title, value] of Object.entries(given)) {
    const name = title.toLowerCase();
    if (!isHeaderName(name)) {
      throw errorFor(
        `a header named ${show(title)}`,
        'A name is made as in HTTP, of letters, digits and marks such as - _ and .: tenant, x-request-id.',
      );
    }
    if (headers.has(name)) throw errorFor(`the header ${name} twice`, 'Case does not tell names apart: keep one.');
    if (typeof value !== 'string') {
      throw errorFor(`the header ${name}: ${show(value)}`, 'Pass a string, or leave the header out.');
    }
    if (!isHeaderText(value)) {
      throw errorFor(
        `the header ${name} with a line break, or something else that is no character of a line`,
        'Pass text of one line, or encode it.',
      );
    }
    headers.set(name, value);
  }
  const read = Object.freeze(Object.fromEntries(headers));
  const bytes = sizeOfHeaders(read);
  if (bytes > MOST_HEADER_BYTES) {
    throw errorFor(
      `headers of ${bytes} bytes, more than ${MOST_HEADER_BYTES}`,
      'Headers are for ids and the like: pass the rest as an argument of the event.',
    );
  }
  return read;
}
