import { messageOf, NoAnswerError, outcomeOf as outcomeUnless } from '../../engine/index.js';

/** A database, as the engine talks to it: a server behind a pool, or PGlite. */
export interface Connection {
  /** The database has one session, in this process. So no other instance can take a claim. */
  readonly isEmbedded: boolean;
  /** Nobody else can use the database. So nobody performs what was claimed before it was opened. */
  readonly isExclusive: boolean;
  /**
   * Refuses a statement that would wait for the very code that asks for it.
   *
   * @throws NotSentError
   */
  requireSession(): void;
  /**
   * Runs one statement, or several without parameters.
   *
   * @param timeoutMs after which it rejects; by default, it takes as long as it takes
   */
  query(sql: string, params?: unknown[], timeoutMs?: number): Promise<QueryResult>;
  /**
   * Listens for notifications for as long as the engine runs. Connects again whenever that breaks.
   *
   * @param onGap is told each time that notifications may have been missed
   * @returns what ends it
   */
  listen(channel: string, onNotification: (payload: string) => void, onGap: () => void): Promise<() => Promise<void>>;
  /** Has a backslash in a string be one in statements of several, though the server is set to read it otherwise. */
  readStringsAsStandard?(): void;
  /** Ends what the engine has opened, and leaves open what was handed to it. */
  close(): Promise<void>;
}

export interface QueryResult {
  // Whatever the statement selects.
  readonly rows: any[];
}

const READ_ONLY = '25006';

/** The statement never reached the database. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';
  /** As of a statement that the database itself has cancelled: it surely did nothing. */
  readonly code = '57014';

  /** The error of what has waited for a statement that failed. */
  static behind(cause: unknown): NotSentError {
    return cause instanceof NotSentError
      ? cause
      : new NotSentError(`it has waited behind another, which failed: ${messageOf(cause)}`, { cause });
  }
}

/** A key was not free in time: a transaction that has stored for it is still open. */
export class KeyHeldError extends Error {
  override readonly name = 'KeyHeldError';
  /** As the database says it. */
  readonly code = '55P03';
}

/** The server takes no writes. It may have been the primary, which another is now: another session may find that one. */
export class ReadOnlyError extends Error {
  override readonly name = 'ReadOnlyError';
  /** As the database says it. */
  readonly code = READ_ONLY;

  /** Says of an error what it means, if it is one of these. Any other stays as it is. */
  static or(error: unknown): unknown {
    if ((error as { code?: unknown } | null)?.code !== READ_ONLY) return error;
    const message = `this server is a standby, or read-only, and takes no writes (${messageOf(error)})`;
    return new ReadOnlyError(message, { cause: error });
  }
}

/** Whether the same would fail again now, or after waiting as long: there is no answer, no connection, no server that writes, or the key is not free. */
export const isInVain = (error: unknown): boolean =>
  error instanceof NotSentError ||
  error instanceof ReadOnlyError ||
  error instanceof KeyHeldError ||
  error instanceof NoAnswerError ||
  (error as { cause?: unknown } | null)?.cause instanceof NoAnswerError;

/** Says how a statement that writes has failed: with an `UnknownOutcomeError`, unless it surely did nothing. */
export const outcomeOf = (error: unknown): unknown => outcomeUnless(error, wasRefused);

/**
 * Whether the database itself said no, and went on. Class 08 means that the connection is at fault, 53 that a disk or a memory is
 * full, which may be after it was written, 57P that somebody else has ended it, 58 and XX that something broke. `EPIPE` and the like, of the system, have no digit.
 */
export const wasRefused = (error: unknown) =>
  /^(?!08|53|57P|58|XX)(?=.*\d)[0-9A-Z]{5}$/.test(String((error as { code?: unknown } | null)?.code));
