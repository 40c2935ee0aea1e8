import { ENCODED_TEXT, type StoredError } from '../errors/stored-error.js';

/** A failure of a delivery, as it is remembered. */
export interface PastFailure {
  readonly at: Date;
  /** The instance in which it has failed: its host and its process id, as in `web-1:4711`. */
  readonly instance: string;
  /** The beginning of the error's message. */
  readonly message: string;
}

/** What has happened to a delivery. Its fields say what: a `message` is there when it has failed. */
export type HistoryEntry = PastFailure;

/** How many entries of a delivery's history are kept, the last ones. */
export const MOST_HISTORY = 10;

/** How much of a message is remembered. */
export const LONGEST_MESSAGE = 500;

/** A failure as it is written down, before the store says when. */
export type NewFailure = Pick<PastFailure, 'instance' | 'message'>;

/** Makes of an error what the history of a delivery is to remember. */
export const failureOf = (instance: string, { message }: StoredError): NewFailure => ({
  instance,
  // What is encoded is not read if some of it is missing. Half of a surrogate pair is no text that a store takes.
  message: message.startsWith(ENCODED_TEXT)
    ? message
    : message.slice(0, LONGEST_MESSAGE).replace(/\p{Surrogate}/gu, '\uFFFD'),
});
