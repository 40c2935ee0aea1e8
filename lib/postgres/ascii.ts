import type { StoredError } from '../engine/index.js';

/** An error whose text any database can store, whatever its encoding: each other character becomes a question mark. */
export const asAscii = (error: StoredError): StoredError =>
  JSON.parse(JSON.stringify(error), (_, value: unknown) =>
    typeof value === 'string' ? value.replace(/[^\0-\x7f]/g, '?') : value,
  ) as StoredError;
