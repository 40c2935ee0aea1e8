import { messageOf, UnknownOutcomeError } from '../../engine/index.js';

/** A database, as the engine talks to it: a server behind a pool, or PGlite. */
export interface Connection {
  /** There is one session, in this process: a claim cannot be lost to another. */
  readonly isEmbedded: boolean;
  /** Nobody else can use the database: what was claimed when it was opened, nobody performs any more. */
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
   * @param timeoutMs after which it rejects; by default it takes as long as it takes
   */
  query(sql: string, params?: unknown[], timeoutMs?: number): Promise<QueryResult>;
  /**
   * Listens for notifications for as long as the engine runs, connecting again whenever that breaks.
   *
   * @param onGap when some may have been missed
   * @returns what ends it
   */
  listen(channel: string, onNotification: (payload: string) => void, onGap: () => void): Promise<() => Promise<void>>;
  /** Ends what the engine has opened, and nothing that was handed to it. */
  close(): Promise<void>;
}

export interface QueryResult {
  // Whatever the statement selects.
  readonly rows: any[];
}

/** The statement never reached the database. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';
}

/** What a statement that writes failed with: an {@link UnknownOutcomeError} unless it surely did nothing. */
export function outcomeOf(error: unknown): unknown {
  if (error instanceof NotSentError || wasRefused(error)) return error;
  return new UnknownOutcomeError(messageOf(error), { cause: error });
}

/**
 * Whether the database itself said no, and went on. In class 08 the connection is at fault, with 57P it was ended from
 * elsewhere, in 58 and XX something broke. `EPIPE`, of the system, has no digit.
 */
const wasRefused = (error: unknown) =>
  /^(?!08|57P|58|XX)(?=.*\d)[0-9A-Z]{5}$/.test(String((error as { code?: unknown } | null)?.code));
