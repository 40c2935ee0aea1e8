import {
  countsByAddress,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryPage,
  type DeliveryQuery,
  type DeliveryState,
  type DiscardedPortion,
  type DiscardPortion,
  fits,
  isSearch,
  type KnownAddress,
  type RetriedPortion,
  type RetryPortion,
} from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import { type CountedEnds, type CountedStretch, countLastHour, countQueues } from './counting.js';
import { cursorAt, goingOn, keptOf, type Place, placeAt, type Row, type Searched } from './kept-row.js';
import type { Pauses } from './pauses.js';
import { addressOf } from './queue-name.js';
import type { NamedQueue } from './queues.js';
import { type Search, searchDiscard, searchList, searchRetry, type Statement } from './statements/search.js';
import type { Statements } from './statements/statements.js';
import { tablesIn } from './statements/tables.js';

/** No statement takes long by itself: this is for a server that has much else to do. */
const QUERY_TIMEOUT_MS = 30_000;

/** In how many queues a statement looks for how many ids. Of more, Postgres would also compile it, which takes longer still. */
const LOOK_UPS = 10_000;

/** How many deliveries one search looks at: for 10 to 20 ms of a server that has little else to do, with millions in the store. */
const MOST_SCANNED = 1_000;

/** What the search statements need beside a search. */
export interface SearchedIn {
  readonly schema: string;
  readonly keepCompletedSeconds: number;
}

/** Looks into the deliveries that are kept, and retries or discards them. */
export class KeptDeliveries {
  constructor(
    private readonly connection: Connection,
    private readonly statements: Statements,
    private readonly channel: string,
    private readonly pauses: Pick<Pauses, 'paused'>,
    private readonly searchedIn: SearchedIn,
  ) {}

  async addresses(): Promise<KnownAddress[]> {
    const queues = await this.query<NamedQueue>(this.statements.queues);
    return queues.flatMap(({ name, isRemote }) => {
      const address = addressOf(name);
      return address ? [{ ...address, isRemote }] : [];
    });
  }

  async counts(): Promise<DeliveryCounts[]> {
    const queues = await this.queuesOf({});
    const found = await countQueues(queues, (stretches, limit) =>
      this.query<CountedStretch>(this.statements.counts, [
        stretches.map(({ name }) => name),
        stretches.map(({ stretch }) => stretch),
        limit,
      ]),
    );
    const ended = await countLastHour(queues, (limit) =>
      this.query<CountedEnds>(this.statements.lastHour, [queues, limit]),
    );
    // A callback that has become ordered, or has ceased to be, has two queues for a while.
    return countsByAddress([...found, ...ended, ...(await this.pauses.paused())]);
  }

  async list(query: DeliveryQuery): Promise<DeliveryPage> {
    const { state, limit, after, order = 'oldest', ids, ...filter } = query;
    if (state === 'completed' || order === 'newest' || isSearch(filter)) return this.search(query);
    const place = placeAt(after, state);
    const queues = await this.queuesOf(filter);
    const params = [queues, ...place, limit];
    const rows: Row[] = [];
    if (!ids) rows.push(...(await this.query<Row>(this.statements.list[state], params)));
    else {
      for (const some of groupsOf(ids, queues)) {
        rows.push(...(await this.query<Row>(this.statements.listOfIds[state], [...params, some])));
      }
      rows.sort(byPlace).splice(limit);
    }
    const last = rows.length === limit ? rows.at(-1) : undefined;
    const found = rows.map((row) => keptOf(row, state));
    return { found, scanned: found.length, ...(last && { after: cursorAt(last, state) }) };
  }

  async retry(filter: DeliveryFilter, { limit, after }: RetryPortion): Promise<RetriedPortion> {
    type Last = Place & { readonly found: number; readonly count: number };
    if (isSearch(filter)) {
      const search = await this.searchFor(filter, { state: 'dead', limit, after });
      const { keepCompletedSeconds } = this.searchedIn;
      return this.changed(searchRetry(this.tables, search, { keepCompletedSeconds, channel: this.channel }), 'dead');
    }
    const { ids, ...address } = filter;
    const place = placeAt(after, 'dead');
    const params = [await this.queuesOf(address), ...place, limit, this.channel];
    const [last] = ids
      ? await this.query<Last>(this.statements.retryOfIds, [...params, ids])
      : await this.query<Last>(this.statements.retry, params);
    if (!last) return { count: 0 };
    return { count: last.count, ...(last.found === limit && { after: cursorAt(last, 'dead') }) };
  }

  async discard(filter: DeliveryFilter, portion: DiscardPortion): Promise<DiscardedPortion> {
    const { state, limit, after } = portion;
    if (state) {
      const search = await this.searchFor(filter, { state, limit, after });
      return this.changed(searchDiscard(this.tables, search, this.channel), state);
    }
    const { ids = [], ...address } = filter;
    const queues = await this.queuesOf(address);
    let count = 0;
    for (const some of groupsOf(ids, queues)) {
      const params = [queues, this.channel, some];
      const [discarded] = await this.query<{ count: number }>(this.statements.discard, params);
      count += discarded.count;
    }
    return { count };
  }

  private async search(query: DeliveryQuery): Promise<DeliveryPage> {
    const { state, order, limit, after, ...filter } = query;
    const search = await this.searchFor(filter, { state, order, limit, after });
    const { sql, params } = searchList(this.tables, search);
    const rows = await this.query<Searched & (Row | { readonly id: null })>(sql, params);
    const found = rows.flatMap((row) => (row.id === null ? [] : [keptOf(row, state)]));
    return { found, scanned: rows[0].scanned, ...goingOn(rows[0], state) };
  }

  private async searchFor(
    { ids, ...filter }: DeliveryFilter,
    { state, order = 'oldest', limit, after }: Pick<DeliveryQuery, 'state' | 'order' | 'limit' | 'after'>,
  ): Promise<Search> {
    return {
      filter: { ...filter, ...(ids && { ids: [...new Set(ids.map((id) => id.toLowerCase()))] }) },
      queues: await this.queuesOf(filter),
      after: placeAt(after, state),
      most: MOST_SCANNED,
      state,
      order,
      limit,
    };
  }

  private async changed({ sql, params }: Statement, state: DeliveryState): Promise<RetriedPortion> {
    const [changed] = await this.query<Searched & { readonly count: number }>(sql, params);
    return { count: changed.count, ...goingOn(changed, state) };
  }

  private get tables() {
    return tablesIn(this.searchedIn.schema);
  }

  private async queuesOf(filter: DeliveryFilter): Promise<string[]> {
    const rows = await this.query<NamedQueue>(this.statements.queues);
    return rows.flatMap(({ name }) => {
      const address = addressOf(name);
      return address && fits(address, filter) ? [name] : [];
    });
  }

  private async query<Found>(statement: string, params: readonly unknown[] = []): Promise<Found[]> {
    const { rows } = await this.connection.query(statement, [...params], QUERY_TIMEOUT_MS);
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
