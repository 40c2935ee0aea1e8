import { isError, showThrown } from './describe.js';

/** An error as it is stored: enough to read, without what cannot be stored, or was not meant to be. */
export interface StoredError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
  readonly cause?: StoredError;
  /** The errors that it holds, the first few, if it is one for several. */
  readonly errors?: readonly StoredError[];
}

/** Stands before the text of an error that went through the application's codec. */
export const ENCODED_TEXT = 'encoded:';

const LONGEST = 10_000;
const MOST_ERRORS = 6;

/** How many errors may yet be told of. Errors may hold each other in a circle. */
interface Room {
  left: number;
}

/** Makes a {@link StoredError} of whatever a callback threw. */
export function storedError(thrown: unknown, room: Room = { left: MOST_ERRORS }): StoredError {
  room.left--;
  try {
    if (!isError(thrown)) return { name: 'Error', message: storable(`it threw ${showThrown(thrown)}`) };
    const { name, message, stack, cause } = thrown;
    const { code, errors } = thrown as { code?: unknown; errors?: unknown };
    const held = Array.isArray(errors) ? storedErrors(errors, room) : [];
    return {
      name: storable(name),
      message: storable(message),
      ...(typeof stack === 'string' && { stack: storable(stack) }),
      ...((typeof code === 'string' || typeof code === 'number') && { code: storable(code) }),
      ...(held.length > 0 && { errors: held }),
      ...(cause !== undefined && room.left > 0 && { cause: storedError(cause, room) }),
    };
  } catch {
    return { name: 'Error', message: 'it threw something that cannot be read' };
  }
}

function storedErrors(errors: readonly unknown[], room: Room): StoredError[] {
  const stored: StoredError[] = [];
  for (const error of errors) {
    // One is kept for the cause.
    if (room.left > 1) stored.push(storedError(error, room));
  }
  return stored;
}

/** Engines store text as Unicode: no half of a surrogate pair, and no NUL character. */
const storable = (text: unknown) =>
  String(text)
    .slice(0, LONGEST)
    .replace(/\0|\p{Surrogate}/gu, '\uFFFD');
