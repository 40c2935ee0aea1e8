import { sentenceOf } from './describe.js';
import { EventsError, type EventsErrorCode } from './events-error.js';

interface Who {
  readonly event: string;
  readonly callback: string;
  /** Of the delivery. */
  readonly id: string;
}

type Reason = 'over' | 'foreign' | 'unsuited' | 'lost' | 'completed';

const REASONS: Record<Reason, (engine: string) => readonly [EventsErrorCode, string, string]> = {
  over: () => [
    'EVENTS_TRANSACTION_OVER',
    'no transaction is open there',
    'Send "begin" before, and call completeIn() before the commit.',
  ],
  foreign: (engine) => [
    'EVENTS_TRANSACTION_FOREIGN',
    `the engine ${engine} keeps its deliveries in another database`,
    'Complete it in a transaction of that one, or leave completeIn() out: it completes when the callback resolves.',
  ],
  unsuited: (engine) => [
    'EVENTS_ENGINE_UNSUITED',
    `the engine ${engine} takes no transactions`,
    'Leave completeIn() out: it completes when the callback resolves.',
  ],
  lost: () => [
    'EVENTS_DELIVERY_LOST',
    'its claim has run out, so that another instance may have taken it, or somebody else has decided what becomes of it',
    'Let this error roll the transaction back.',
  ],
  completed: () => [
    'EVENTS_DELIVERY_COMPLETED',
    'it is completed already',
    'Call completeIn() once, by the transaction that commits.',
  ],
};

/** Why a callback cannot complete its delivery in a transaction, of this `kind`. */
export const completingRefused = (who: Who & { engine: string }, reason: Reason, kind: string, cause?: unknown) => {
  const [code, found, remedy] = REASONS[reason](who.engine);
  const options = { id: who.id, ...(cause === undefined ? {} : { cause }) };
  return new EventsError(code, `${attempted(who, kind)}: ${found}. ${remedy}`, options);
};

export const completingFailed = (who: Who, kind: string, cause: unknown) =>
  new EventsError(
    'EVENTS_STORE_FAILED',
    `${attempted(who, kind)}: ${sentenceOf(cause)} Let this error roll the transaction back.`,
    { cause, id: who.id },
  );

const attempted = ({ event, callback, id }: Who, kind: string) =>
  `${callback} cannot complete "${event}" (delivery ${id}) in ${kind}`;
