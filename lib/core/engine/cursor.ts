import type { DeliveryState } from './kept-delivery.js';
import { CursorRefusedError } from './refusals.js';

/** Makes the cursor of a list of one state, {@link DeliveryPage.after},, from whatever finds the place in it again. */
export const cursorOf = (state: DeliveryState, ...place: readonly string[]): string =>
  Buffer.from(JSON.stringify([state, ...place])).toString('base64url');

/**
 * Reads the place out of a cursor.
 *
 * @param parts what each part of the place looks like: precisely, as the store is to take also what somebody has made up
 * @throws CursorRefusedError if the cursor is none of a list of this state
 */
export function readCursor(cursor: string, state: DeliveryState, parts: readonly RegExp[]): string[] {
  const [of, ...place] = parsed(cursor);
  const isOurs = of === state && place.length === parts.length && parts.every((part, at) => part.test(place[at]));
  if (!isOurs) throw new CursorRefusedError('that is no cursor of this list');
  return place;
}

function parsed(cursor: string): string[] {
  try {
    const read: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(read) && read.every((part) => typeof part === 'string') ? read : [];
  } catch {
    return [];
  }
}
