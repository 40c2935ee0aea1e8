import { sentenceOf, show } from './describe.js';
import { EventsError } from './events-error.js';

export const commitUnseen = (event: string, callback: string, kind: string, remedy = '') =>
  new EventsError(
    'EVENTS_COMMIT_UNSEEN',
    `"${event}" was run with ${kind}. Nobody can see how that ends, and ${callback} waits for its end. No callback has run; ` +
      `${remedy && `${remedy}. Or `}` +
      'open the transaction by inTransaction(…), or through the adapter that withEvents() wraps, and run it inside.',
  );

export const transactionOver = (event: string, reason: string, hasRun: boolean, cause?: unknown) =>
  new EventsError(
    'EVENTS_TRANSACTION_OVER',
    `"${event}" was run in a transaction that ${reason}. ${hasRun ? 'Its later steps have not happened' : 'No callback has run'}; ` +
      'await the run before the transaction ends, or run it outside.',
    cause === undefined ? {} : { cause },
  );

export const transactionForeign = (event: string, engine: string, found: string, hasRun: boolean) =>
  new EventsError(
    'EVENTS_TRANSACTION_FOREIGN',
    `"${event}" was run in a transaction that cannot store deliveries of the engine ${engine}: it is ${found}. ` +
      `${hasRun ? 'Nothing is stored' : 'No callback has run'}; run it outside that transaction, or let the engine use its database.`,
  );

export const transactionAborted = (cause: unknown) =>
  new EventsError(
    'EVENTS_TRANSACTION_ABORTED',
    `A statement of the transaction has failed and somebody has caught that, so that Postgres can only roll it back: ${sentenceOf(cause)} ` +
      'Let the error through, or keep the statement in a savepoint, as an optional callback does.',
    { cause },
  );

export const savepointFailed = (statement: string, cause: unknown) =>
  new EventsError(
    'EVENTS_SAVEPOINT_FAILED',
    `The transaction did not take "${statement}", which keeps the failure of a callback apart: ${sentenceOf(cause)} ` +
      'Let this error roll the transaction back; if it has ended already, await the run before that.',
    { cause },
  );

export const commitUnknown = (event: string, callback: string, cause: unknown) =>
  new EventsError(
    'EVENTS_COMMIT_UNKNOWN',
    `${callback} was not called for "${event}", as nobody can say whether its transaction has committed: ${sentenceOf(cause)} ` +
      'Look into the database, and do by hand what it would have done.',
    { cause },
  );

export const withEventsInvalid = (found: unknown) => {
  const name = typeof found === 'function' && found.name;
  const meant = name
    ? `Pass one that it makes: withEvents(new ${name}({ … })).`
    : 'Pass one: withEvents(new TransactionalAdapterTypeOrm({ … })).';
  return new EventsError(
    'EVENTS_OPTION_INVALID',
    `withEvents() was given ${show(found)}, which is no adapter of @nestjs-cls/transactional. ${meant}`,
  );
};
