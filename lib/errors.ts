import { inspect } from 'node:util';

/** Every {@link EventsError.code}. The README explains each one. */
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
  'EVENTS_NOBODY_ANSWERS',
  'EVENTS_ARGUMENTS_INVALID',
  'EVENTS_SCHEMA_FAILED',
  'EVENTS_ARGUMENTS_UNSTORABLE',
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
  'EVENTS_DELIVERY_EXHAUSTED',
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
 * What this package itself throws, reports or rejects with. What a callback throws is never wrapped in one:
 * it reaches the caller as it is.
 */
export class EventsError extends Error {
  override readonly name = 'EventsError';
  /** With `EVENTS_SEVERAL_FAILED`: what each callback threw, in callback order. */
  declare readonly errors?: readonly unknown[];
  /**
   * With `EVENTS_STORE_UNKNOWN` and `EVENTS_STORE_FAILED`: the id of the run's deliveries. Run again with it, as in
   * `events.with({ id: error.id }).run(…)`, what was stored already is not stored twice.
   */
  declare readonly id?: string;

  /** @internal Thrown by this package only. */
  constructor(
    readonly code: EventsErrorCode,
    message: string,
    { errors, id, ...options }: ErrorOptions & { errors?: readonly unknown[]; id?: string } = {},
  ) {
    super(message, options);
    if (errors) this.errors = errors;
    if (id !== undefined) this.id = id;
  }
}

// Below: one factory per code; those of durable deliveries and of transactions are in files of their own. Sentence 1 says
// who and what was found, sentence 2 what to do.

export const notAMethod = (what: string) =>
  new EventsError(
    'EVENTS_NOT_A_METHOD',
    `@Callback() was put on ${what}. Put it on a method of a provider or a controller: the instance's method is what answers the event.`,
  );

export const standardDecorator = (name: string) =>
  new EventsError(
    'EVENTS_NOT_A_METHOD',
    `@Callback() on "${name}" was compiled as a standard decorator, which Nest does not read. ` +
      'Set "experimentalDecorators": true in tsconfig.json, as Nest itself needs it.',
  );

export const eventInvalid = (where: string, found: unknown, hint: string) =>
  new EventsError('EVENTS_EVENT_INVALID', `${where} was given ${show(found)} as the event. ${hint}`);

export const declaredTwice = (callback: string, event: string) =>
  new EventsError(
    'EVENTS_DECLARED_TWICE',
    `${callback} is declared twice for "${event}". Keep one @Callback() per event on a method.`,
  );

export const callbackInvalid = (callback: string, problem: string, remedy: string) =>
  new EventsError('EVENTS_CALLBACK_INVALID', `${callback} has ${problem}. ${remedy}`);

export const optionInvalid = (option: string, found: unknown, remedy: string, isKnown = true) =>
  new EventsError(
    'EVENTS_OPTION_INVALID',
    `EventsModule was configured with ${option}: ${show(found)}${isKnown ? '' : ', which is not an option of it'}. ${remedy}`,
  );

export const configuredTwice = (count: number) =>
  new EventsError(
    'EVENTS_CONFIGURED_TWICE',
    `EventsModule.forRoot() or forRootAsync() is imported ${count} times in this application, and its options hold for all of it. ` +
      'Keep the one in the root module; other modules need no import, or the plain EventsModule.',
  );

export const definitionConflict = (event: string, where: string, other: string) =>
  new EventsError(
    'EVENTS_DEFINITION_CONFLICT',
    `${where} uses a definition of "${event}" with other schemas than that of ${other}. ` +
      'Export one defineEvent() and import it in both places.',
  );

export const enhancerUnavailable = (callback: string, decorator: string, reason: string) =>
  new EventsError(
    'EVENTS_ENHANCER_UNAVAILABLE',
    `${callback} carries ${decorator} that could not be applied to it: ${reason}. ` +
      'Provide the class that carries it as a class (not by a factory or a value), decorate the overriding method itself, or remove it.',
  );

export const orderUnknown = (callback: string, relation: string, target: string, event: string, remedy: string) =>
  new EventsError(
    'EVENTS_ORDER_UNKNOWN',
    `${callback} asks to run ${relation} ${target}, but no callback of "${event}" is ${target}. ${remedy}`,
  );

export const orderAmbiguous = (callback: string, relation: string, id: string) =>
  new EventsError(
    'EVENTS_ORDER_AMBIGUOUS',
    `${callback} asks to run ${relation} "${id}", but several callbacks have that id. ` +
      'Give each its own: @Callback(event, { id: … }), or name their class.',
  );

export const orderImpossible = (event: string, reason: string) =>
  new EventsError(
    'EVENTS_ORDER_IMPOSSIBLE',
    `The callbacks of "${event}" cannot be ordered: ${reason}. Remove one of these before/after options.`,
  );

export const withInvalid = (found: string, remedy: string, where = 'with()') =>
  new EventsError('EVENTS_WITH_INVALID', `${where} was given ${found}. ${remedy}`);

export const nobodyAnswers = (event: string, hint: string) =>
  new EventsError('EVENTS_NOBODY_ANSWERS', `"${event}" was run, but no callback answers it. ${hint}`);

export const argumentsInvalid = (event: string, problem: string, issues?: unknown) =>
  new EventsError(
    'EVENTS_ARGUMENTS_INVALID',
    `"${event}" was run with arguments that do not fit its definition: ${problem}. No callback has run; correct the call.`,
    { cause: issues },
  );

export const schemaFailed = (event: string, position: number, cause: unknown) =>
  new EventsError(
    'EVENTS_SCHEMA_FAILED',
    `The schema of argument ${position} of "${event}" answered ${show(cause)} instead of a value or an issue. No callback has run; mend the schema.`,
    { cause },
  );

export const severalFailed = (event: string, callbacks: readonly string[], errors: readonly unknown[]) =>
  new EventsError(
    'EVENTS_SEVERAL_FAILED',
    `${callbacks.length} callbacks of "${event}" failed: ${callbacks.join(', ')}. Read \`errors\`, in that order, for what each threw.`,
    { errors },
  );

export const backgroundFull = (event: string, callback: string, maxQueued: number) =>
  new EventsError(
    'EVENTS_BACKGROUND_FULL',
    `"${event}" was not delivered to ${callback}: ${maxQueued} background deliveries are waiting already. ` +
      'Raise background.concurrency or background.maxQueued, or run the event less often.',
  );

export const closed = (event: string) =>
  new EventsError(
    'EVENTS_CLOSED',
    `"${event}" was run after the application had closed, so no callback has run. Run it before, or await app.close() later.`,
  );

export const neverStarted = (event: string) =>
  new EventsError(
    'EVENTS_CLOSED',
    `"${event}" was run while the application was starting, which has failed, so no callback has run. Mend what kept it from starting.`,
  );

export const shutdownTimeout = (timeout: number, pending: readonly string[]) =>
  new EventsError(
    'EVENTS_SHUTDOWN_TIMEOUT',
    `The application closed, and after ${timeout} ms these had not finished: ${pending.join(', ')}. ` +
      'Make them settle or heed currentEvent().signal, or raise shutdownTimeout.',
  );

/** A value as a message shows it: short, on one line. */
export const show = (value: unknown): string => {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof Promise) return 'a promise';
  if (typeof value === 'function') return value.name ? `the function ${value.name}` : 'a function';
  return inspect(value, { depth: 1, breakLength: Infinity, maxStringLength: 80, maxArrayLength: 5 });
};

/** What somebody else's error says, as a sentence. */
export const sentenceOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return sentence(String(cause));
  // Drizzle's own message is the statement.
  const { message, cause: inner } = cause;
  return message.startsWith('Failed query') && inner ? sentenceOf(inner) : sentence(message || cause.name);
};

const sentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`);
