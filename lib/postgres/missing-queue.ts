const FOREIGN_KEY_VIOLATION = '23503';

/** Somebody has deleted a queue, so nothing is stored. */
export class MissingQueueError extends Error {
  /** It counts as said by the database itself: see `outcomeOf()`. */
  readonly code = FOREIGN_KEY_VIOLATION;

  constructor(queue: string) {
    super(`somebody has deleted the queue ${queue} from the database.`);
  }
}

/** Whether storing failed because a queue is missing. */
export const isQueueMissing = (error: unknown) => (error as { code?: unknown } | null)?.code === FOREIGN_KEY_VIOLATION;
