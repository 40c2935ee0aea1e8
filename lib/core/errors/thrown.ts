import { isError, showThrown } from './describe.js';
import { storedError } from './stored-error.js';

/** Something that was thrown, as the log tells it. */
export interface Told {
  readonly message: string;
  /** Only errors have one. */
  readonly stack?: string | undefined;
}

const LONGEST = 10_000;
const MOST_ERRORS = 20;

/**
 * Describes something that was thrown: the stack and the code of an error, of its causes and of those that it holds, and
 * none of their other properties, which may be a request with its headers. It may itself throw when it is looked at, and
 * nobody would catch that.
 */
export function describeThrown(thrown: unknown): Told {
  try {
    if (!isError(thrown)) return { message: `it threw ${showThrown(thrown)}` };
    const message = bounded(thrown.message || thrown.name);
    if (typeof thrown.stack !== 'string') return { message };
    return { message, stack: new Chain().lines(thrown).join('\n') };
  } catch {
    return storedError(thrown);
  }
}

const bounded = (text: unknown) => {
  const all = String(text);
  return all.length > LONGEST ? `${all.slice(0, LONGEST)}…` : all;
};

/** An error with all that it comes of and holds: each once, as they may do so in a circle, and not too many. */
class Chain {
  private readonly told = new Set<unknown>();

  lines(thrown: unknown): string[] {
    if (this.told.has(thrown)) return ['an error that is told above'];
    this.told.add(thrown);
    try {
      return isError(thrown) ? this.linesOf(thrown) : [bounded(showThrown(thrown))];
    } catch {
      return ['something that cannot be read'];
    }
  }

  private linesOf(error: Error): string[] {
    const { name, message, stack, cause } = error;
    const { code, errors } = error as { code?: unknown; errors?: unknown };
    const lines = [bounded(typeof stack === 'string' ? stack : `${String(name)}: ${String(message)}`)];
    if (typeof code === 'string' || typeof code === 'number') lines.push(`    code: ${bounded(code)}`);
    if (Array.isArray(errors)) lines.push(...this.linesOfAll(errors));
    if (cause !== undefined) lines.push(...this.linesAfter('caused by ', cause));
    return lines;
  }

  private linesOfAll(errors: readonly unknown[]): string[] {
    const count = Math.min(errors.length, Math.max(MOST_ERRORS - this.told.size, 0));
    const lines = errors.slice(0, count).flatMap((error) => this.linesAfter('holds ', error));
    return count < errors.length ? [...lines, `and ${errors.length - count} more`] : lines;
  }

  private linesAfter(relation: string, thrown: unknown): string[] {
    if (this.told.size >= MOST_ERRORS) return [`${relation}more`];
    const [first, ...rest] = this.lines(thrown);
    return [relation + first, ...rest];
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
