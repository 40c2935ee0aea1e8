import { inspect } from 'node:util';
import { show } from './describe.js';
import { storedError } from './stored-error.js';

/** What was thrown, as the log tells it. */
export interface Told {
  readonly message: string;
  /** Of errors only. */
  readonly stack?: string | undefined;
}

/** What is thrown may itself throw when it is looked at, and nobody would catch that. */
export function describeThrown(thrown: unknown): Told {
  try {
    if (!(thrown instanceof Error)) return { message: `it threw ${show(thrown)}` };
    const stack: unknown = 'cause' in thrown ? inspect(thrown) : thrown.stack;
    return { message: String(thrown.message || thrown.name), stack: typeof stack === 'string' ? stack : undefined };
  } catch {
    return storedError(thrown);
  }
}

/** As `instanceof`, which a proxy may answer by throwing. */
export function isInstance<T>(thrown: unknown, type: abstract new (...args: never[]) => T): thrown is T {
  try {
    return thrown instanceof type;
  } catch {
    return false;
  }
}

/** What an error says, or whatever else was thrown; of several at once, as Node reports attempts to connect, what each does. */
export function messageOf(thrown: unknown): string {
  try {
    const { message, errors } = thrown as { message?: unknown; errors?: unknown };
    // Errors of another realm are none of this one.
    if (typeof message === 'string' && message !== '') return message;
    if (Array.isArray(errors)) return errors.map(messageOf).join(', ');
  } catch {
    // It does not want to be looked at.
  }
  return describeThrown(thrown).message;
}
