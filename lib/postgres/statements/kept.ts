import type { DeliveryState } from '../../engine/index.js';
import { countsStatement, lastHourStatement } from './counts.js';
import { epochMs } from './epoch-ms.js';
import type { Tables } from './tables.js';
import { isBehind, type Lying, MEANT, walk } from './walk.js';

/** The states that are listed by a statement that was written once. Of completed ones, a page is searched for. */
type PagedState = Exclude<DeliveryState, 'completed'>;
type OfState = Readonly<Record<PagedState, string>>;

/**
 * The statements that look into the deliveries that are kept, and change them, in the queues `$1`. Queues and ids are arrays,
 * because the planner sees how long they are. A page begins after what was stored at microsecond `$2` with id `$3` in queue `$4`,
 * and has `$5` deliveries at most, in the order of storing.
 */
export interface KeptStatements {
  /**
   * Counts each of some stretches, no further than `$3`: stretch `$2` of queue `$1`, both arrays, by its place in `STRETCHES`. Tells
   * since when the first of each is due, in milliseconds since 1970.
   */
  readonly counts: string;
  /** Counts, of each of the queues, what has ended within the last hour, no further than `$2`. */
  readonly lastHour: string;
  /** Reads a page of the deliveries in a state. */
  readonly list: OfState;
  /** The same of those with the ids `$6`. */
  readonly listOfIds: OfState;
  /** Makes a page of dead deliveries wait again, and notifies on `$6`. Answers with the last that it has come to. */
  readonly retry: string;
  /** The same of those with the ids `$7`. */
  readonly retryOfIds: string;
  /**
   * Removes those of a page of dead deliveries that died `$7` milliseconds ago, or earlier, and notifies on `$6`. Answers with the last
   * that it has come to, how many it has looked at, and how many it has removed of each queue.
   */
  readonly removeDead: string;
  /** Removes the waiting and dead deliveries with the ids `$3`, and notifies on `$2`, as others may have waited for them. */
  readonly discard: string;
  /** Names all queues, and says which are remote. */
  readonly queues: string;
  /** Fails unless everything is there that the other statements need. */
  readonly probe: string;
}

export const keptStatements = (tables: Tables, keepCompletedSeconds: number): KeptStatements => ({
  counts: countsStatement(tables),
  lastHour: lastHourStatement(tables),
  list: ofEachState((state) => list(tables, state, page(tables, state))),
  listOfIds: ofEachState((state) => list(tables, state, pageOfIds(tables, state, '$6'))),
  retry: retry(tables, keepCompletedSeconds, page(tables, 'dead')),
  retryOfIds: retry(tables, keepCompletedSeconds, pageOfIds(tables, 'dead', '$7')),
  removeDead: removeDead(tables, page(tables, 'dead')),
  discard: discard(tables),
  queues: `select name, false as "isRemote" from ${tables.queue}`,
  probe: probe(tables),
});

const ofEachState = (statement: (state: PagedState) => string): OfState => ({
  waiting: statement('waiting'),
  running: statement('running'),
  dead: statement('dead'),
});

/**
 * Says nothing, and costs nothing in the index that is meant. It makes another one dearer, which has all states, completed ones
 * too, in the same order, and which the planner would else take where most deliveries wait.
 */
const DEARER = `state < 'completed' and state < 'cancelled' and state < 'failed'`;

/** Where deliveries lie, whatever the queue. */
export interface Found extends Lying {
  readonly parts: readonly string[];
}

/**
 * Where the deliveries of each state lie. Each of `parts` is a condition of an index of pg-boss, read in the order of `place`,
 * or else holds few: those that run, and those that are suspected. Words that differ from the index's own cost all of it.
 */
export const FOUND: Readonly<Record<DeliveryState, Found>> = {
  waiting: {
    place: 'created_on',
    parts: [`state < 'active' and not blocked and priority = 0 and ${DEARER}`, `state = 'retry' and blocked`],
  },
  running: { place: 'created_on', parts: [`state = 'active'`] },
  // Which is where they were stored: see what settles them.
  dead: { place: 'start_after', parts: [`state = 'failed' and not blocked`] },
  // In the index by that time, dead ones lie between them: those are passed over.
  completed: { place: 'completed_on', parts: [`completed_on is not null`] },
};

/** A page of what is in a state: the first of all queues. */
const page = (tables: Tables, state: DeliveryState) => walk(tables, FOUND[state], { order: 'oldest' });

/**
 * Looks ids up, by the primary key, in the queues that hold anything in some parts. It does so whatever the planner believes
 * of states.
 */
export const lookedUp = ({ job }: Tables, { place, parts }: Found, ids: string, columns: string) => `
        with holding as materialized (
          select name from ${MEANT} where ${parts
            .map((part) => `(select true from ${job} where name = meant.name and ${part} order by ${place} limit 1)`)
            .join(' or ')}
        )
        select ${columns} from holding cross join unnest(${ids}::uuid[]) as given(id) cross join lateral (
          select *, ctid as spot from ${job} where name = holding.name and id = given.id offset 0
        ) as j
        where (${parts.join(' or ')})`;

/** A page of what is in a state and has one of some ids. */
const pageOfIds = (tables: Tables, state: DeliveryState, ids: string) => `
        ${lookedUp(tables, FOUND[state], ids, `j.id, j.name, ${FOUND[state].place} as place, spot`)}
          and ${isBehind(FOUND[state].place)}
        order by place, id, name limit $5::int`;

// An exact number of microseconds, as text: a float has too few digits, and drivers may have been told to read times.
export const PLACE = `(extract(epoch from place) * 1000000)::bigint::text as place`;

const ATTEMPTS = `(retry_count + 1 - coalesce((data->>'uncounted')::int, 0))`;
const SINCE = { waiting: 'start_after', running: 'started_on', dead: 'completed_on', completed: 'completed_on' };

/** What is read of a delivery in a state, beside its place. */
export const listed = (state: DeliveryState) => `
        j.id, j.name, singleton_key as key, data, output, ${epochMs('created_on')} as "storedAt",
        case when started_on is null then 0 else ${ATTEMPTS} end as attempts, ${epochMs(SINCE[state])} as since`;

/** Reads the deliveries of a page. Only now, as what they carry may be large. */
const list = ({ job }: Tables, state: DeliveryState, page: string) => `
      select ${listed(state)}, ${PLACE}
      from (${page}
      ) as page cross join lateral (select * from ${job} where ctid = page.spot offset 0) as j
      order by page.place, page.id, page.name`;

/** What puts all attempts before a delivery again. Those of earlier versions, which counted in the data, do so too. */
const NEVER_BEGUN = `
          retry_count = 0, retry_delay = 0, started_on = null, source_retry_count = null, source_created_on = null, source_id = null,
          data = case when data ? 'uncounted' then data - 'uncounted' else data end`;

/** What makes a dead delivery wait again. */
export const waitingAgain = (keepCompletedSeconds: number) => `
          state = 'retry', start_after = now(), completed_on = null, blocked = false,
          deletion_seconds = ${keepCompletedSeconds}, ${NEVER_BEGUN}`;

// By where the rows lie, as the planner may prefer any index, or none, to the primary key.
const retry = ({ job }: Tables, keepCompletedSeconds: number, page: string) => `
      with portion as materialized (${page}
      ), retried as (
        update ${job} set ${waitingAgain(keepCompletedSeconds)}
        where ctid = any(array(select spot from portion)) and state = 'failed' returning name
      ), notified as (
        select pg_notify($6, name) from retried group by name
      )
      select id, name, ${PLACE}, (select count(*) from portion)::int as found, (select count(*) from retried)::int as count,
        (select count(*) from notified)::int as notified
      from portion order by portion.place desc, id desc, name desc limit 1`;

const removeDead = ({ job }: Tables, page: string) => `
      with portion as materialized (${page}
      ), removed as (
        delete from ${job} where ctid = any(array(select spot from portion)) and state = 'failed'
          and completed_on <= now() - $7::float8 * interval '1 millisecond'
        returning name
      ), counted as (
        select name, count(*)::int as count from removed group by name
      ), notified as (
        select pg_notify($6, name) from counted
      )
      select id, name, ${PLACE}, (select count(*) from portion)::int as found, (select count(*) from notified)::int as notified,
        (select json_object_agg(name, count) from counted) as removed
      from portion order by portion.place desc, id desc, name desc limit 1`;

/** Whatever is waiting or dead, with a priority too. */
export const DISCARDED: Found = {
  place: 'blocked, start_after',
  parts: [`state = 'created'`, `state = 'retry'`, `state = 'failed'`],
};

const discard = (tables: Tables) => `
      with discarded as (
        delete from ${tables.job}
        where ctid = any(array(${lookedUp(tables, DISCARDED, '$3', 'spot')}
        )) and state in ('created', 'retry', 'failed') returning name
      ), notified as (
        select pg_notify($2, name) from discarded group by name
      )
      select count(*)::int as count, (select count(*) from notified)::int as notified from discarded`;

const probe = ({ job }: Tables) => `
      select id, name, data, state, singleton_key, policy, start_after, created_on, keep_until, started_on, completed_on,
        retry_count, retry_limit, retry_delay, expire_seconds, deletion_seconds, heartbeat_seconds, heartbeat_on, output, blocked
      from ${job} where false`;
