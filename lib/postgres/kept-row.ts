import {
  cursorOf,
  type DeliveryState,
  type HistoryEntry,
  type KeptDelivery,
  readCursor,
  type StoredError,
} from '../engine/index.js';
import { requireAddress } from './queue-name.js';

/** Where a delivery lies among all: when it was stored, in microseconds, its id and its queue. */
export interface Place {
  readonly place: string;
  readonly id: string;
  readonly name: string;
}

/** A delivery, as it lies in the database. */
export interface Row extends Place {
  readonly key: string | null;
  readonly data: Pick<KeptDelivery, 'givenId' | 'headers' | 'arguments'>;
  readonly output: Output | null;
  readonly storedAt: number;
  readonly attempts: number;
  readonly since: number;
}

/** An entry of the history, as it lies in the database. */
type StoredEntry = Omit<HistoryEntry, 'at'> & { readonly at: number };

/** The last error, and beside it the history. Builds before this one know nothing of the latter. */
type Output = (StoredError | { readonly value?: { readonly message?: unknown } }) & {
  readonly history?: readonly StoredEntry[];
};

/** What a search tells beside what it has found. */
export interface Searched {
  readonly scanned: number;
  readonly isMore: boolean;
  readonly lastPlace: string;
  readonly lastId: string;
  readonly lastName: string;
}

/** Reads what the last attempt failed with. pg-boss writes something else than we do when it takes back a claim itself. */
const errorOf = ({ history: _history, ...output }: Output): StoredError =>
  'message' in output ? output : { name: 'Error', message: String(output.value?.message) };

const historyOf = ({ history = [] }: Output): HistoryEntry[] =>
  history.map(({ at, ...entry }) => ({ at: new Date(at), ...entry }));

/** The cursor of a delivery in a list. */
export const cursorAt = ({ place, id, name }: Place, state: DeliveryState) => cursorOf(state, place, id, name);

/** Where to go on after a search, if there may be more. */
export const goingOn = ({ isMore, lastPlace, lastId, lastName }: Searched, state: DeliveryState) =>
  isMore ? { after: cursorAt({ place: lastPlace, id: lastId, name: lastName }, state) } : {};

/** What a place looks like in a cursor. Postgres takes whatever looks like that, also if somebody has made it up. */
const PLACE = [/^\d{1,16}$/, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/, /^[\w./-]+$/];

/** The place after a cursor, as the parameters of a statement. */
export const placeAt = (cursor: string | undefined, state: DeliveryState): (string | null)[] =>
  cursor === undefined ? [null, null, null] : readCursor(cursor, state, PLACE);

export function keptOf(row: Row, state: DeliveryState): KeptDelivery {
  const { event, callback } = requireAddress(row.name);
  return {
    event,
    callback,
    id: row.id,
    ...(row.data.givenId !== undefined && { givenId: row.data.givenId }),
    ...(row.key !== null && { key: row.key }),
    ...(row.data.headers && { headers: row.data.headers }),
    arguments: row.data.arguments,
    state,
    attempts: row.attempts,
    storedAt: new Date(row.storedAt),
    since: new Date(row.since),
    ...(row.output && { error: errorOf(row.output) }),
    ...(row.output?.history && { history: historyOf(row.output) }),
  };
}
