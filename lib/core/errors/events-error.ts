import { recognizeCopies } from '../copies/shared.js';

/** Every {@link EventsError.code}. `lib/README.md` explains each one. */
export const EVENTS_ERROR_CODES = [
  'EVENTS_NOT_A_METHOD',
  'EVENTS_EVENT_INVALID',
  'EVENTS_DECLARED_TWICE',
  'EVENTS_CALLBACK_INVALID',
  'EVENTS_OPTION_INVALID',
  'EVENTS_CONFIGURED_TWICE',
  'EVENTS_DEFINITION_CONFLICT',
  'EVENTS_ENGINE_MISSING',
  'EVENTS_ENGINE_FAILED',
  'EVENTS_ENGINE_UNSUITED',
  'EVENTS_CALLBACK_AMBIGUOUS',
  'EVENTS_ENHANCER_UNAVAILABLE',
  'EVENTS_ORDER_UNKNOWN',
  'EVENTS_ORDER_AMBIGUOUS',
  'EVENTS_ORDER_IMPOSSIBLE',
  'EVENTS_WITH_INVALID',
  'EVENTS_PROPAGATOR_FAILED',
  'EVENTS_NOBODY_ANSWERS',
  'EVENTS_ARGUMENTS_INVALID',
  'EVENTS_SCHEMA_FAILED',
  'EVENTS_ARGUMENTS_UNSTORABLE',
  'EVENTS_CODEC_FAILED',
  'EVENTS_KEY_MISSING',
  'EVENTS_STORE_FAILED',
  'EVENTS_STORE_UNKNOWN',
  'EVENTS_COMMIT_UNSEEN',
  'EVENTS_TRANSACTION_OVER',
  'EVENTS_TRANSACTION_FOREIGN',
  'EVENTS_TRANSACTION_ABORTED',
  'EVENTS_SAVEPOINT_FAILED',
  'EVENTS_COMMIT_UNKNOWN',
  'EVENTS_SEVERAL_FAILED',
  'EVENTS_BACKGROUND_FULL',
  'EVENTS_DELIVERY_TIMEOUT',
  'EVENTS_DELIVERY_LOST',
  'EVENTS_DELIVERY_COMPLETED',
  'EVENTS_DELIVERY_EXHAUSTED',
  'EVENTS_DELIVERY_POSTPONED',
  'EVENTS_DELIVERY_UNREADABLE',
  'EVENTS_QUERY_INVALID',
  'EVENTS_CLOSED',
  'EVENTS_SHUTDOWN_TIMEOUT',
  'EVENTS_TESTING_INVALID',
  'EVENTS_NOT_SETTLED',
] as const;

/** Says which rule was broken; switch on it rather than on the message. */
export type EventsErrorCode = (typeof EVENTS_ERROR_CODES)[number];

/**
 * Every error of this package itself is one of these: thrown, reported, or the reason of a rejection. An error that a
 * callback throws is never wrapped in one: it reaches the caller as it is.
 */
export class EventsError extends Error {
  override readonly name = 'EventsError';
  /** With `EVENTS_SEVERAL_FAILED`: the error of each callback, in callback order. */
  declare readonly errors?: readonly unknown[];
  /**
   * With `EVENTS_STORE_UNKNOWN` and `EVENTS_STORE_FAILED`: the id of the run's deliveries. Run again with it, as in
   * `events.with({ id: error.id }).run(…)`, and nothing is stored twice.
   */
  declare readonly id?: string;

  /** @internal Thrown by this package only. */
  constructor(
    readonly code: EventsErrorCode,
    message: string,
    { errors, id, ...options }: ErrorOptions & { errors?: readonly unknown[]; id?: string } = {},
  ) {
    // Node prints a cause that is there, though it is undefined.
    super(message, options.cause === undefined ? {} : options);
    if (errors) this.errors = errors;
    if (id !== undefined) this.id = id;
  }
}
recognizeCopies(EventsError, 'EventsError');
