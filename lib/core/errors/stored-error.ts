import { show } from './describe.js';

/** An error as it is stored: enough to read, without what cannot be stored. */
export interface StoredError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
  readonly cause?: StoredError;
}

const LONGEST = 10_000;
const MOST_CAUSES = 5;

/** Makes a {@link StoredError} of whatever a callback threw. */
export function storedError(thrown: unknown, causesLeft = MOST_CAUSES): StoredError {
  try {
    if (!(thrown instanceof Error)) return { name: 'Error', message: storable(`it threw ${show(thrown)}`) };
    const { name, message, stack, cause } = thrown;
    const { code } = thrown as { code?: unknown };
    return {
      name: storable(name),
      message: storable(message),
      ...(typeof stack === 'string' && { stack: storable(stack) }),
      ...((typeof code === 'string' || typeof code === 'number') && { code: storable(code) }),
      ...(cause !== undefined && causesLeft > 0 && { cause: storedError(cause, causesLeft - 1) }),
    };
  } catch {
    return { name: 'Error', message: 'it threw something that cannot be read' };
  }
}

/** Engines store text as Unicode: no half of a surrogate pair, and no NUL character. */
const storable = (text: unknown) =>
  String(text)
    .slice(0, LONGEST)
    .replace(/\0|\p{Surrogate}/gu, '\uFFFD');
