import { showCarried } from './describe.js';
import { EventsError } from './events-error.js';

export const eventInvalid = (where: string, found: unknown, hint: string, shown = showCarried(found)) =>
  new EventsError('EVENTS_EVENT_INVALID', `${where} was given ${shown} as the event. ${hint}`);

export const withInvalid = (found: string, remedy: string, where = 'with()') =>
  new EventsError('EVENTS_WITH_INVALID', `${where} was given ${found}. ${remedy}`);

export const propagatorFailed = (problem: string, cause?: unknown) =>
  new EventsError('EVENTS_PROPAGATOR_FAILED', `${problem}.`, { cause });

/** What a propagator of our own throws while it writes headers. The run is refused with {@link propagatorFailed}, which says the same. */
export const contextUnfit = (found: string, remedy: string) =>
  new EventsError('EVENTS_PROPAGATOR_FAILED', `${found}. ${remedy}`);

export const givenInvalid = (maker: string, found: string, remedy: string) =>
  new EventsError('EVENTS_OPTION_INVALID', `${maker} was given ${found}. ${remedy}`);

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
    `The schema of argument ${position} of "${event}" answered ${showCarried(cause)} instead of a value or an issue. No callback has run; mend the schema.`,
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

export const backgroundGivenUp = (event: string, callback: string) =>
  new EventsError(
    'EVENTS_SHUTDOWN_TIMEOUT',
    `"${event}" was not delivered to ${callback}: the application closes, and has given up the work that it waited for. ` +
      'Nothing begins in the background then; make that work settle, or raise shutdownTimeout.',
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
