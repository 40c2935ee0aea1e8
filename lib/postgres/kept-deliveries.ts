import {
  countsByAddress,
  cursorOf,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryQuery,
  type DeliveryState,
  fits,
  type KeptDelivery,
  readCursor,
  type RetriedPortion,
  type RetryPortion,
  type StoredError,
} from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import { addressOf, requireAddress } from './queue-name.js';
import type { Statements } from './statements/statements.js';

/** Which of pg-boss' states make up each of ours. */
const STATES: Readonly<Record<DeliveryState, readonly string[]>> = {
  waiting: ['created', 'retry'],
  running: ['active'],
  dead: ['failed'],
};

/** Enough for looking through all deliveries that there are. */
const QUERY_TIMEOUT_MS = 30_000;

/** How many deliveries a queue has. */
type CountsRow = Omit<DeliveryCounts, 'event' | 'callback' | 'isExact'> & { readonly name: string };

/** Where a delivery lies among all: when it was stored, in microseconds, its id and its queue. */
interface Place {
  readonly place: string;
  readonly id: string;
  readonly name: string;
}

/** A delivery, as it lies in the database. */
interface Row extends Place {
  readonly key: string | null;
  readonly data: { readonly arguments: KeptDelivery['arguments'] };
  readonly output: StoredError | { readonly value?: { readonly message?: unknown } } | null;
  readonly storedAt: number;
  readonly attempts: number;
  readonly since: number;
}

/** Reads what the last attempt failed with. pg-boss writes something else than we do when it takes back a claim itself. */
const errorOf = (output: NonNullable<Row['output']>): StoredError =>
  'message' in output ? output : { name: 'Error', message: String(output.value?.message) };

/** Looks into the deliveries that are kept, and retries or discards them. */
export class KeptDeliveries {
  constructor(
    private readonly connection: Connection,
    private readonly statements: Statements,
    private readonly channel: string,
  ) {}

  async counts(): Promise<DeliveryCounts[]> {
    const rows = await this.query<CountsRow>(this.statements.counts);
    // A callback that has become ordered, or has ceased to be, has two queues for a while.
    return countsByAddress(
      rows.flatMap(({ name, ...counts }) => {
        const address = addressOf(name);
        return address ? [{ ...address, ...counts }] : [];
      }),
    );
  }

  async list({ state, limit, after, ...filter }: DeliveryQuery): Promise<KeptDelivery[]> {
    const rows = await this.query<Row>(this.statements.list, [
      ...(await this.paramsFor(filter)),
      JSON.stringify(STATES[state]),
      ...placeAt(after, state),
      limit,
    ]);
    return rows.map((row) => keptOf(row, state));
  }

  async retry(filter: DeliveryFilter, { limit, after }: RetryPortion): Promise<RetriedPortion> {
    const params = [...(await this.paramsFor(filter)), this.channel, ...placeAt(after, 'dead'), limit];
    const [last] = await this.query<Place & { count: number }>(this.statements.retry, params);
    if (!last) return { count: 0 };
    return { count: last.count, ...(last.count === limit && { after: cursorAt(last, 'dead') }) };
  }

  async discard(filter: DeliveryFilter): Promise<number> {
    const params = [...(await this.paramsFor(filter)), this.channel];
    const [{ count }] = await this.query<{ count: number }>(this.statements.discard, params);
    return count;
  }

  /** Says which queues and which ids a filter means: the first two parameters of the statements. */
  private async paramsFor({ ids, ...filter }: DeliveryFilter): Promise<(string | null)[]> {
    const rows = await this.query<{ name: string }>(this.statements.queues);
    const names = rows.flatMap(({ name }) => {
      const address = addressOf(name);
      return address && fits(address, filter) ? [name] : [];
    });
    return [JSON.stringify(names), ids ? JSON.stringify(ids) : null];
  }

  private async query<Found>(statement: string, params: unknown[] = []): Promise<Found[]> {
    const { rows } = await this.connection.query(statement, params, QUERY_TIMEOUT_MS);
    return rows;
  }
}

const cursorAt = ({ place, id, name }: Place, state: DeliveryState) => cursorOf(state, place, id, name);

/** The place after a cursor, as the parameters of a statement. */
const placeAt = (cursor: string | undefined, state: DeliveryState): (string | null)[] =>
  cursor === undefined ? [null, null, null] : readCursor(cursor, state, [/^\d{1,16}$/, /^[0-9a-f-]{36}$/, /./]);

function keptOf(row: Row, state: DeliveryState): KeptDelivery {
  const { event, callback } = requireAddress(row.name);
  return {
    event,
    callback,
    id: row.id,
    ...(row.key !== null && { key: row.key }),
    arguments: row.data.arguments,
    state,
    attempts: row.attempts,
    storedAt: new Date(row.storedAt),
    since: new Date(row.since),
    ...(row.output && { error: errorOf(row.output) }),
    cursor: cursorAt(row, state),
  };
}
