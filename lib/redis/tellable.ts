/** What ioredis says when a connection breaks, of an option that nobody has set. */
const HAS_BROKEN = 'MaxRetriesPerRequestError';
/** The option of which it speaks when there is no connection. */
const IS_AWAY = 'enableOfflineQueue';

export const noConnection = () => new Error('no connection to Redis: it is tried again each second');

/**
 * Makes of an error what may be told of it. ioredis puts the arguments of the command on it: the password, or what an application has
 * stored. It speaks of its options where a connection has broken, or where there is none.
 */
export function tellable(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return error;
  if ((error as Error).name === HAS_BROKEN) return new Error('the connection broke before Redis had answered');
  if (String((error as Error).message).includes(IS_AWAY)) return noConnection();
  hideArguments(error, new Set());
  return error;
}

/** An error of ioredis, and where it keeps others. */
interface IoredisError {
  command?: { name?: unknown };
  readonly cause?: unknown;
  readonly lastNodeError?: unknown;
  readonly errors?: unknown;
}

function hideArguments(error: unknown, seen: Set<unknown>): void {
  if (typeof error !== 'object' || error === null || seen.has(error)) return;
  seen.add(error);
  const told = error as IoredisError;
  if (told.command) told.command = { name: told.command.name };
  const others = Array.isArray(told.errors) ? told.errors : [];
  for (const other of [told.cause, told.lastNodeError, ...others]) hideArguments(other, seen);
}

/** Does something with Redis. What it rejects with may be told. */
export const told = <T>(work: Promise<T>): Promise<T> =>
  work.catch((error: unknown) => {
    throw tellable(error);
  });
