import type { DeliveriesOrder, DeliveryFilter, DeliveryState } from '../../engine/index.js';
import { FOUND, listed, lookedUp, PLACE, waitingAgain } from './kept.js';
import type { Tables } from './tables.js';
import { inOrder, isBehind, type Lying, walk } from './walk.js';

/** Which deliveries a search looks for. */
export interface Search {
  readonly filter: DeliveryFilter;
  readonly state: DeliveryState;
  readonly order: DeliveriesOrder;
  readonly queues: readonly string[];
  /** The place after which it looks: microsecond, id and queue. */
  readonly after: readonly (string | null)[];
  /** How many it finds, at most. */
  readonly limit: number;
  /** How many it looks at, at most. */
  readonly most: number;
}

/** A statement that was written for one search. */
export interface Statement {
  readonly sql: string;
  readonly params: readonly unknown[];
}

/** What is large is read of so much, in bytes as the database stores it, and of one delivery at least. */
const MOST_BYTES = 500_000;

/** Writes down values, and answers with how SQL names them. */
class Params {
  constructor(readonly values: unknown[]) {}

  add = (value: unknown): string => `$${this.values.push(value)}`;

  time = (time: Date): string =>
    `(timestamptz 'epoch' + ${this.add(Math.max(0, time.getTime()))}::bigint * interval '1 millisecond')`;
}

/** Finds a page of deliveries. Each row tells of the whole search, too; one alone does if nothing was found. */
export function searchList(tables: Tables, search: Search): Statement {
  const params = paramsOf(search);
  const { state } = search;
  const sql = `${searched(tables, search, params)}
      select "isMore", scanned, "lastPlace", "lastId", "lastName", found.* from summary left join (
        select nth, ${listed(state)}, ${PLACE}
        from hits cross join lateral (select * from ${tables.job} where ctid = hits.spot offset 0) as j
      ) as found on true order by nth`;
  return { sql, params: params.values };
}

/** Makes dead deliveries that it finds wait again, and notifies on a channel. */
export function searchRetry(
  tables: Tables,
  search: Search,
  { keepCompletedSeconds, channel }: { readonly keepCompletedSeconds: number; readonly channel: string },
): Statement {
  const params = paramsOf(search);
  const sql = `${searched(tables, search, params)}, changed as (
        update ${tables.job} set ${waitingAgain(keepCompletedSeconds)}
        where ctid = any(array(select spot from hits)) and state = 'failed' returning name
      ), ${notifiedOn(params.add(channel))}`;
  return { sql, params: params.values };
}

/** Removes waiting or dead deliveries that it finds, and notifies on a channel, as others may have waited for them. */
export function searchDiscard(tables: Tables, search: Search, channel: string): Statement {
  const params = paramsOf(search);
  const states = search.state === 'dead' ? `'failed'` : `'created', 'retry'`;
  const sql = `${searched(tables, search, params)}, changed as (
        delete from ${tables.job}
        where ctid = any(array(select spot from hits)) and state in (${states}) returning name
      ), ${notifiedOn(params.add(channel))}`;
  return { sql, params: params.values };
}

const paramsOf = (search: Search) => {
  const { queues, after, limit, most } = search;
  return new Params([queues, ...after, isServedByIndex(search) ? Math.min(limit, most) : most]);
};

const notifiedOn = (channel: string) => `notified as (
        select pg_notify(${channel}, name) from changed group by name
      )
      select (select count(*) from changed)::int as count, (select count(*) from notified)::int as notified, summary.*
      from summary`;

/**
 * Looks at what lies where an index has it, at most `$5` of it and, of what has to be unpacked, no more than so many bytes. `hits` are
 * those that fit, and `summary` tells how far it has come.
 */
function searched(tables: Tables, search: Search, params: Params): string {
  const { job } = tables;
  const most = params.add(search.limit);
  const [plain, large] = [plainConditions(search, params), largeConditions(search, params)];
  const unpacked = `
        select nth, place, id, name, spot, isplain and fits as fits from sized cross join lateral (
          select ${allOf(large)} as fits from ${job} where ctid = sized.spot offset 0
        ) as j where before < ${MOST_BYTES}
        limit (select count(*) from walked)`;
  // The limit cuts nothing off: it has the planner take them for few, as in a walk.
  return `
      with walked as materialized (${pageOf(tables, search, params, [`${allOf(plain)} as isplain`, bytesOf(search, plain)])}
      ), sized as materialized (
        select *, row_number() over placed as nth, sum(bytes) over placed - bytes as before
        from walked window placed as (order by ${inOrder(search.order)} rows unbounded preceding)
      ), looked as materialized (${large.length > 0 ? unpacked : `select *, isplain as fits from sized`}
      ), hits as materialized (
        select * from looked where fits order by nth limit ${most}::int
      ), come as (
        select count(*) as hits, case when count(*) < ${most}::int then (select max(nth) from looked) else max(nth) end as nth from hits
      ), summary as (
        select coalesce(come.nth, 0)::int as scanned,
          coalesce(hits = ${most}::int or come.nth < (select count(*) from walked) or come.nth = $5::int, false) as "isMore",
          (extract(epoch from place) * 1000000)::bigint::text as "lastPlace", id as "lastId", name as "lastName"
        from come left join looked on looked.nth = come.nth
      )`;
}

const allOf = (conditions: readonly string[]) => conditions.join(' and ') || 'true';

/** How many bytes have to be read of a row, as it lies there, to look whether it fits. */
function bytesOf({ filter: { headers, errorCode, errorText } }: Search, plain: readonly string[]): string {
  const large = [...(headers ? ['data'] : []), ...((errorCode ?? errorText) ? ['output'] : [])];
  const bytes = large.map((column) => `coalesce(pg_column_size(${column}), 0)`).join(' + ') || '0';
  return `case when ${allOf(plain)} then ${bytes} else 0 end as bytes`;
}

function pageOf(tables: Tables, { filter, state, order }: Search, params: Params, columns: readonly string[]): string {
  if (filter.ids) {
    const { place } = FOUND[state];
    const ids = params.add(filter.ids);
    return `
        ${lookedUp(tables, FOUND[state], ids, ['j.id', 'j.name', `${place} as place`, 'spot', ...columns].join(', '))}
          and ${isBehind(place, order)}
        order by ${inOrder(order)} limit $5::int`;
  }
  return walk(tables, lyingOf(state, filter, params), { order, bounds: boundsOf(state, filter, params), columns });
}

/** Whether a queue keeps the order of keys. */
const isOrdered = (queue: string) => `${queue}.name like '%/%/ordered'`;

/** Where deliveries in a state lie. Those of one key have indexes of their own: of what waits, and of what is dead in order. */
function lyingOf(state: DeliveryState, { key }: DeliveryFilter, params: Params): Lying {
  const lying = FOUND[state];
  if (key === undefined || (state !== 'waiting' && state !== 'dead')) return lying;
  const hasKey = `singleton_key = ${params.add(key)}`;
  if (state === 'waiting') {
    return { ...lying, parts: [`${hasKey} and singleton_key is not null and state < 'active'`] };
  }
  const [dead] = FOUND.dead.parts;
  const holdsUp = `state in ('active', 'retry', 'failed') and policy = 'key_strict_fifo'`;
  return {
    ...lying,
    parts: [
      (queue) => `${isOrdered(queue)} and ${hasKey} and ${holdsUp} and ${dead}`,
      (queue) => `not ${isOrdered(queue)} and ${dead}`,
    ],
  };
}

/** Between which places those lie that a filter means. Nothing ends before it is stored. */
function boundsOf(state: DeliveryState, filter: DeliveryFilter, params: Params): string[] {
  const { place } = FOUND[state];
  const { storedAfter, storedBefore, endedAfter, endedBefore } = filter;
  const isByEnd = state === 'completed';
  const from = isByEnd ? latest(storedAfter, endedAfter) : storedAfter;
  const until = isByEnd ? endedBefore : earliest(storedBefore, endedBefore);
  return [
    ...(from ? [`${place} >= ${params.time(from)}`] : []),
    ...(until ? [`${place} < ${params.time(until)}`] : []),
  ];
}

const latest = (one?: Date, other?: Date) => (one && other ? (one > other ? one : other) : (one ?? other));
const earliest = (one?: Date, other?: Date) => (one && other ? (one < other ? one : other) : (one ?? other));

/** What a filter asks of each delivery beside where it lies: what is small, and read with the row. */
function plainConditions({ filter, state }: Search, params: Params): string[] {
  const { key, storedAfter, storedBefore, endedAfter, endedBefore, ids } = filter;
  const isByEnd = state === 'completed';
  const conditions = isByEnd ? [`state = 'completed'`] : [];
  if (key !== undefined && (ids || state !== 'waiting')) {
    conditions.push(`coalesce(singleton_key = ${params.add(key)}, false)`);
  }
  if (storedAfter && (ids || isByEnd)) conditions.push(`created_on >= ${params.time(storedAfter)}`);
  if (storedBefore && (ids || isByEnd)) conditions.push(`created_on < ${params.time(storedBefore)}`);
  if (endedAfter && (ids || !isByEnd)) conditions.push(`completed_on >= ${params.time(endedAfter)}`);
  if (endedBefore && (ids || !isByEnd)) conditions.push(`completed_on < ${params.time(endedBefore)}`);
  return conditions;
}

/** The same of what may be large, and has to be unpacked. */
function largeConditions({ filter: { headers, errorCode, errorText } }: Search, params: Params): string[] {
  const conditions: string[] = [];
  if (headers) conditions.push(`coalesce(data->'headers' @> ${params.add(JSON.stringify(headers))}::jsonb, false)`);
  if (errorCode !== undefined) conditions.push(`coalesce(output->>'code' = ${params.add(errorCode)}, false)`);
  if (errorText !== undefined) {
    const told = `concat_ws(chr(10), output->>'name', coalesce(output->>'message', output->'value'->>'message'))`;
    conditions.push(`strpos(lower(${told}), lower(${params.add(errorText)})) > 0`);
  }
  return conditions;
}

/** Whether whatever is looked at fits, as where it lies says all that the search asks for. */
function isServedByIndex(search: Search): boolean {
  const unused = new Params([]);
  return plainConditions(search, unused).length + largeConditions(search, unused).length === 0;
}
