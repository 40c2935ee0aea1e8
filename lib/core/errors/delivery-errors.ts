import { sentenceOf } from './describe.js';
import { EventsError } from './events-error.js';

export const engineMissing = (who: string) =>
  new EventsError(
    'EVENTS_ENGINE_MISSING',
    `${who}, and EventsModule has no engine that stores deliveries. ` +
      `Add one: EventsModule.forRoot({ engine: postgres({ connectionString }) }), with postgres from 'nestjs-callbacks/postgres'; ` +
      `without a server, postgres({ folder: '.data' }).`,
  );

export const engineInvalid = (cause: unknown) =>
  new EventsError('EVENTS_OPTION_INVALID', `EventsModule was configured with a wrong engine: ${sentenceOf(cause)}`, {
    cause,
  });

export const engineFailed = (engine: string, doing: string, cause: unknown) =>
  new EventsError(
    'EVENTS_ENGINE_FAILED',
    `The engine ${engine} could not ${doing}: ${sentenceOf(cause)} The application has not started; mend that, and start it again.`,
    { cause },
  );

export const startTimeout = (engine: string, doing: string, ms: number) =>
  new EventsError(
    'EVENTS_ENGINE_FAILED',
    `The engine ${engine} could not ${doing} within ${ms} ms. The application has not started. Look for what holds its store up, as a ` +
      'lock or a pooler without free connections does, or raise startTimeout.',
  );

const stoppedHalfWay = (engine: string, what: string, remedy: string, cause: unknown) =>
  new EventsError(
    'EVENTS_ENGINE_FAILED',
    `The engine ${engine} failed after ${what}, perhaps more: ${sentenceOf(cause)} ${remedy}`,
    { cause },
  );

const deliveries = (count: number, were: string) =>
  `${count} ${count === 1 ? `delivery was ${were}` : `deliveries were ${were}`}`;

export const retryFailed = (engine: string, done: number, cause: unknown) =>
  stoppedHalfWay(engine, deliveries(done, 'retried'), 'Call retry() again for the rest.', cause);

export const discardFailed = (engine: string, done: number, cause: unknown) =>
  stoppedHalfWay(engine, deliveries(done, 'discarded'), 'Call discard() again for the rest.', cause);

export const pausingFailed = (engine: string, method: 'pause' | 'resume', cause: unknown) =>
  new EventsError(
    'EVENTS_ENGINE_FAILED',
    `The engine ${engine} could not ${method} callbacks, or did not say so: ${sentenceOf(cause)} Call ${method}() again, which does no harm.`,
    { cause },
  );

export const repeatFailed = (engine: string, done: number, cause: unknown) =>
  stoppedHalfWay(engine, deliveries(done, 'repeated'), 'See which, by list(), and call repeat() for the rest.', cause);

export const engineUnsuited = (engine: string, callback: string, what: string) =>
  new EventsError(
    'EVENTS_ENGINE_UNSUITED',
    `${callback} asks for ${what}, which the engine ${engine} cannot do. Remove the option, or choose another engine.`,
  );

export const engineLacks = (engine: string, what: string) =>
  new EventsError(
    'EVENTS_ENGINE_UNSUITED',
    `The engine ${engine} cannot do ${what} here. lib/control.md says which engine can; boot warns of a schema that lacks something.`,
  );

export const remoteOrder = (event: string, callback: string, isOrdered: boolean) =>
  new EventsError(
    'EVENTS_OPTION_INVALID',
    `EventsModule was configured with remote: { event: '${event}', callback: '${callback}', ordered: ${isOrdered} }, and its application ` +
      `has it ${isOrdered ? 'unordered' : 'ordered'}. ${isOrdered ? 'Remove ordered there' : 'Pass ordered: true'}.`,
  );

export const callbackAmbiguous = (
  { event, callback }: { readonly event: string; readonly callback: string },
  reason: string,
) =>
  new EventsError(
    'EVENTS_CALLBACK_AMBIGUOUS',
    `Deliveries of "${event}" to ${callback} could not be told apart: ${reason}. ` +
      "Give each callback an id of its own: @Callback(event, { delivery: 'durable', id: … }).",
  );

export const argumentsUnstorable = (event: string, position: number | undefined, path: string, found: string) => {
  const where =
    position === undefined ? (path ? `its field ${path}` : 'it') : `argument ${position}${path && ` (${path})`}`;
  return new EventsError(
    'EVENTS_ARGUMENTS_UNSTORABLE',
    `"${event}" cannot be stored for its durable callbacks: ${where} is ${found}. No callback has run; ` +
      'pass plain data, or an id by which the callback finds the rest.',
  );
};

export const keyMissing = (event: string, callback: string) =>
  new EventsError(
    'EVENTS_KEY_MISSING',
    `"${event}" was run without a key, by which ${callback} keeps its order. No callback has run; ` +
      'say what the order is of: events.with({ key: … }).run(…).',
  );

export const delayUseless = (event: string) =>
  new EventsError(
    'EVENTS_WITH_INVALID',
    `"${event}" was run with delayMs, but no durable callback answers it, and only stored deliveries can wait. ` +
      "No callback has run; declare it with delivery: 'durable', or remove delayMs.",
  );

export const storeFailed = (event: string, id: string, engine: string, cause: unknown, isInTransaction = false) =>
  new EventsError(
    'EVENTS_STORE_FAILED',
    `"${event}" was not stored for its durable callbacks, as the engine ${engine} failed: ${sentenceOf(cause)} ` +
      (isInTransaction
        ? 'Let this error roll the transaction back, and do all of it again.'
        : 'Its inline callbacks have run; run it again, or undo them.'),
    { cause, id },
  );

export const storeUnknown = (event: string, id: string, engine: string, cause: unknown) =>
  new EventsError(
    'EVENTS_STORE_UNKNOWN',
    `"${event}" may or may not be stored for its durable callbacks, as the engine ${engine} did not answer: ${sentenceOf(cause)} ` +
      `Run it again with the same id, which stores nothing twice, though inline callbacks run again: ` +
      `events.with({ id: '${id}' }).run(…).`,
    { cause, id },
  );

export const deliveryTimeout = (event: string, callback: string, timeoutMs: number, concurrency: number) =>
  new EventsError(
    'EVENTS_DELIVERY_TIMEOUT',
    `${callback} had not finished with "${event}" after ${timeoutMs} ms. Heed currentEvent().signal, or raise timeoutMs: ` +
      `until it settles, it takes one of the ${concurrency} places that its concurrency allows.`,
  );

export const deliveryLate = (event: string, callback: string, id: string, timeoutMs: number) =>
  new EventsError(
    'EVENTS_DELIVERY_TIMEOUT',
    `${callback} finished with "${event}" (delivery ${id}) after its ${timeoutMs} ms were over and it had been given up, so it is done again, or is ` +
      'dead. Raise timeoutMs, or have it stop at currentEvent().signal.',
  );

export const deliveryLost = (event: string, callback: string, id: string) =>
  new EventsError(
    'EVENTS_DELIVERY_LOST',
    `${callback} finished with "${event}" (delivery ${id}) after its claim had run out, so it runs again. ` +
      'Look for what blocked the event loop, or cut the instance off from its engine.',
  );

export const deliveryExhausted = (event: string, callback: string, attempts: number) =>
  new EventsError(
    'EVENTS_DELIVERY_EXHAUSTED',
    `All ${attempts} attempts of ${callback} at "${event}" have begun, and the last did not say how it ended: ` +
      'its instance died, or was cut off. Look for what ends the process, and retry the delivery.',
  );

export const deliveryPostponed = (event: string, callback: string, id: string, most: number, cause: unknown) =>
  new EventsError(
    'EVENTS_DELIVERY_POSTPONED',
    `${callback} would have postponed delivery ${id} of "${event}" for more than ${most} ms in all, which retry.maxPostponedMs allows. ` +
      'It counts as failed. See what keeps saying "later", or raise retry.maxPostponedMs.',
    { cause },
  );

export const deliveryUnreadable = (event: string, cause: unknown) =>
  new EventsError(
    'EVENTS_DELIVERY_UNREADABLE',
    `The stored arguments of "${event}" could not be read: ${sentenceOf(cause)} ` +
      'They were changed, or stored by a newer version of this package.',
    { cause },
  );

export const deliveryGone = (event: string) =>
  new EventsError(
    'EVENTS_DELIVERY_UNREADABLE',
    `A delivery of "${event}" has no arguments: its store has lost them, or another program has put it there. ` +
      'If that is Redis, look whether it may remove keys: set its maxmemory-policy to noeviction.',
  );

export const queryInvalid = (method: string, found: string, remedy: string) =>
  new EventsError('EVENTS_QUERY_INVALID', `EventDeliveries.${method}() was given ${found}. ${remedy}`);

export const callbackUnknown = (event: string, callback: string) =>
  queryInvalid(
    'repeat',
    `callback: '${callback}', which this instance does not have for "${event}"`,
    'Call it in an instance that has it, or that names it in remote.',
  );

export const idsMissing = (method: string) =>
  queryInvalid(method, 'no ids', `Say which deliveries are meant: ${method}({ callback: …, ids: [ … ] }).`);

export const textsEncoded = (method: string) =>
  queryInvalid(
    method,
    'errorText, and texts of errors went through the codec',
    'No store can search them: look for errorCode, or read the list.',
  );

export const healthInvalid = (found: string, remedy: string) =>
  new EventsError('EVENTS_QUERY_INVALID', `EventsHealth.check() was given ${found}. ${remedy}`);

export const engineClosed = () =>
  new EventsError(
    'EVENTS_CLOSED',
    'The deliveries were asked for after the application had closed. Ask before, or await app.close() later.',
  );
