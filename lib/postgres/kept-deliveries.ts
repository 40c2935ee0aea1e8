import {
  countsByAddress,
  cursorOf,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryQuery,
  type DeliveryState,
  fits,
  type KeptDelivery,
  type KnownAddress,
  readCursor,
  type RetriedPortion,
  type RetryPortion,
  type StoredError,
} from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import { countQueues, type CountedStretch } from './counting.js';
import type { Pauses } from './pauses.js';
import { addressOf, requireAddress } from './queue-name.js';
import type { NamedQueue } from './queues.js';
import type { Statements } from './statements/statements.js';

/** No statement takes long by itself: this is for a server that has much else to do. */
const QUERY_TIMEOUT_MS = 30_000;

/** In how many queues a statement looks for how many ids. Of more, Postgres would also compile it, which takes longer still. */
const LOOK_UPS = 10_000;

/** Where a delivery lies among all: when it was stored, in microseconds, its id and its queue. */
interface Place {
  readonly place: string;
  readonly id: string;
  readonly name: string;
}

/** A delivery, as it lies in the database. */
interface Row extends Place {
  readonly key: string | null;
  readonly data: Pick<KeptDelivery, 'givenId' | 'headers' | 'arguments'>;
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
    private readonly pauses: Pick<Pauses, 'paused'>,
  ) {}

  async addresses(): Promise<KnownAddress[]> {
    const queues = await this.query<NamedQueue>(this.statements.queues);
    return queues.flatMap(({ name, isRemote }) => {
      const address = addressOf(name);
      return address ? [{ ...address, isRemote }] : [];
    });
  }

  async counts(): Promise<DeliveryCounts[]> {
    const found = await countQueues(await this.queuesOf({}), (stretches, limit) =>
      this.query<CountedStretch>(this.statements.counts, [
        stretches.map(({ name }) => name),
        stretches.map(({ stretch }) => stretch),
        limit,
      ]),
    );
    // A callback that has become ordered, or has ceased to be, has two queues for a while.
    return countsByAddress([...found, ...(await this.pauses.paused())]);
  }

  async list({ state, limit, after, ids, ...filter }: DeliveryQuery): Promise<KeptDelivery[]> {
    const place = placeAt(after, state);
    const queues = await this.queuesOf(filter);
    const params = [queues, ...place, limit];
    if (!ids) return (await this.query<Row>(this.statements.list[state], params)).map((row) => keptOf(row, state));

    const rows: Row[] = [];
    for (const some of groupsOf(ids, queues)) {
      rows.push(...(await this.query<Row>(this.statements.listOfIds[state], [...params, some])));
    }
    return rows
      .sort(byPlace)
      .slice(0, limit)
      .map((row) => keptOf(row, state));
  }

  async retry({ ids, ...filter }: DeliveryFilter, { limit, after }: RetryPortion): Promise<RetriedPortion> {
    type Last = Place & { readonly found: number; readonly count: number };
    const place = placeAt(after, 'dead');
    const params = [await this.queuesOf(filter), ...place, limit, this.channel];
    const [last] = ids
      ? await this.query<Last>(this.statements.retryOfIds, [...params, ids])
      : await this.query<Last>(this.statements.retry, params);
    if (!last) return { count: 0 };
    return { count: last.count, ...(last.found === limit && { after: cursorAt(last, 'dead') }) };
  }

  async discard({ ids, ...filter }: DeliveryFilter & { readonly ids: readonly string[] }): Promise<number> {
    const queues = await this.queuesOf(filter);
    let sum = 0;
    for (const some of groupsOf(ids, queues)) {
      const params = [queues, this.channel, some];
      const [{ count }] = await this.query<{ count: number }>(this.statements.discard, params);
      sum += count;
    }
    return sum;
  }

  private async queuesOf(filter: DeliveryFilter): Promise<string[]> {
    const rows = await this.query<NamedQueue>(this.statements.queues);
    return rows.flatMap(({ name }) => {
      const address = addressOf(name);
      return address && fits(address, filter) ? [name] : [];
    });
  }

  private async query<Found>(statement: string, params: unknown[] = []): Promise<Found[]> {
    const { rows } = await this.connection.query(statement, params, QUERY_TIMEOUT_MS);
    return rows;
  }
}

/** Divides ids among statements that look for them in some queues. */
function* groupsOf(ids: readonly string[], queues: readonly string[]): Generator<string[]> {
  const each = [...new Set(ids.map((id) => id.toLowerCase()))];
  const most = Math.max(1, Math.floor(LOOK_UPS / Math.max(1, queues.length)));
  for (let at = 0; at < each.length; at += most) yield each.slice(at, at + most);
}

/** What has the same id comes from one statement, in its order. */
const byPlace = (one: Place, other: Place) =>
  Number(one.place) - Number(other.place) || (one.id < other.id ? -1 : one.id > other.id ? 1 : 0);

const cursorAt = ({ place, id, name }: Place, state: DeliveryState) => cursorOf(state, place, id, name);

/** What a place looks like in a cursor. Postgres takes whatever looks like that, also if somebody has made it up. */
const PLACE = [/^\d{1,16}$/, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/, /^[\w./-]+$/];

/** The place after a cursor, as the parameters of a statement. */
const placeAt = (cursor: string | undefined, state: DeliveryState): (string | null)[] =>
  cursor === undefined ? [null, null, null] : readCursor(cursor, state, PLACE);

function keptOf(row: Row, state: DeliveryState): KeptDelivery {
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
    cursor: cursorAt(row, state),
  };
}
