import { inspect } from 'node:util';
import { show } from './describe.js';
import { storedError } from './stored-error.js';

/** Something that was thrown, as the log tells it. */
export interface Told {
  readonly message: string;
  /** Only errors have one. */
  readonly stack?: string | undefined;
}

/** Describes something that was thrown. It may itself throw when it is looked at, and nobody would catch that. */
export function describeThrown(thrown: unknown): Told {
  try {
    if (!(thrown instanceof Error)) return { message: `it threw ${show(thrown)}` };
    const stack: unknown = 'cause' in thrown ? inspect(thrown) : thrown.stack;
    return { message: String(thrown.message || thrown.name), stack: typeof stack === 'string' ? stack : undefined };
  } catch {
    return storedError(thrown);
  }
}

/** Answers as `instanceof`, but a proxy may answer that by throwing. */
export function isInstance<T>(thrown: unknown, type: abstract new (...args: never[]) => T): thrown is T {
  try {
    return thrown instanceof type;
  } catch {
    return false;
  }
}

/**
 * The message of whatever was thrown. Of several errors at once, as Node reports attempts to connect, it has each message.
 */
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
