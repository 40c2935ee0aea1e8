import type { DeliveryState } from '../../engine/index.js';
import type { Tables } from './tables.js';

/**
 * The statements that look into the deliveries that are kept, and change them. For `list`, `retry` and `discard`, `$1`
 * are the queues that are meant, and `$2` the ids; `null` stands for all. Arrays, because the planner sees how long they are.
 */
export interface KeptStatements {
  /** Counts each of some stretches, no further than `$3`: those of the queues `$1`, by their places in {@link STRETCHES}, `$2`. */
  readonly counts: string;
  /**
   * Reads at most `$6` deliveries in a state, in the order of storing, after the one stored at microsecond `$3` with id `$4`
   * in queue `$5`.
   */
  readonly list: Readonly<Record<DeliveryState, string>>;
  /**
   * Makes dead deliveries wait again, and notifies on `$7`: at most `$6` after the one that `$3` to `$5` tell. Answers with
   * the last that it has come to.
   */
  readonly retry: string;
  /** Removes waiting and dead deliveries, and notifies on `$3`, as others may have waited for them. */
  readonly discard: string;
  /** Names all queues. */
  readonly queues: string;
  /** Fails unless everything is there that the other statements need. */
  readonly probe: string;
}

export const keptStatements = (tables: Tables, keepCompletedSeconds: number): KeptStatements => ({
  counts: counts(tables),
  list: { waiting: list(tables, 'waiting'), running: list(tables, 'running'), dead: list(tables, 'dead') },
  retry: retry(tables, keepCompletedSeconds),
  discard: discard(tables),
  queues: `select name from ${tables.queue}`,
  probe: probe(tables),
});

/**
 * Says nothing, and costs nothing in the index that is meant. It makes another one dearer, which has all states, completed ones
 * too, in the same order, and which the planner would else take where most deliveries wait.
 */
const DEARER = `state < 'completed' and state < 'cancelled' and state < 'failed'`;

/**
 * Where the deliveries of each state lie. Each of `parts` is a condition of an index of pg-boss, read in the order of `place`,
 * or else holds few: those that run, and those that are suspected. Words that differ from the index's own cost all of it.
 */
const FOUND: Readonly<Record<DeliveryState, { readonly place: string; readonly parts: readonly string[] }>> = {
  waiting: {
    place: 'created_on',
    parts: [`state < 'active' and not blocked and priority = 0 and ${DEARER}`, `state = 'retry' and blocked`],
  },
  running: { place: 'created_on', parts: [`state = 'active'`] },
  // Which is where they were stored: see what settles them.
  dead: { place: 'start_after', parts: [`state = 'failed' and not blocked`] },
};

const MEANT = `unnest($1::text[]) as meant(name)`;

/** What is counted of a queue: stretches of one index, each with the state whose number it adds to. */
export const STRETCHES: readonly {
  readonly of: 'waiting' | 'delayed' | 'running' | 'dead';
  readonly state: string;
  readonly isSuspected: boolean;
  readonly due: 'now' | 'later' | 'whenever';
}[] = [
  { of: 'waiting', state: 'created', isSuspected: false, due: 'now' },
  { of: 'waiting', state: 'retry', isSuspected: false, due: 'now' },
  { of: 'waiting', state: 'retry', isSuspected: true, due: 'whenever' },
  { of: 'delayed', state: 'created', isSuspected: false, due: 'later' },
  { of: 'delayed', state: 'retry', isSuspected: false, due: 'later' },
  { of: 'running', state: 'active', isSuspected: false, due: 'whenever' },
  { of: 'running', state: 'active', isSuspected: true, due: 'whenever' },
  { of: 'dead', state: 'failed', isSuspected: false, due: 'whenever' },
];

/** After which time, and until which, something is due. */
const DUE = { now: `'-infinity', now()`, later: `now(), 'infinity'`, whenever: `'-infinity', 'infinity'` };

function counts({ job, state }: Tables): string {
  const stretches = STRETCHES.map(
    (stretch, at) => `(${at}, '${stretch.state}'::${state}, ${stretch.isSuspected}, ${DUE[stretch.due]})`,
  );
  // The last condition is that of the index, and the order its own: without it, the planner may read the table instead.
  return `
      select meant.name, stretch, (
        select count(*)::int from (
          select from ${job} where name = meant.name and state = lies.state and blocked = lies.blocked
            and start_after > lies.after and start_after <= lies.until
            and state in ('created', 'retry', 'active', 'failed')
          order by start_after limit $3::int
        ) as first
      ) as count
      from unnest($1::text[], $2::int[]) as meant(name, stretch)
      join (values ${stretches.join(', ')}) as lies(stretch, state, blocked, after, until) using (stretch)`;
}

/** Looks ids up by the primary key, whatever the planner believes of states. */
const named = ({ job }: Tables) => `
        ${MEANT} cross join unnest($2::uuid[]) as given(id)
        cross join lateral (select *, ctid as spot from ${job} where name = meant.name and id = given.id offset 0) as j`;

const isBehind = (place: string) => `(${place}, j.id, j.name) > (
          coalesce(timestamptz 'epoch' + $3::text::bigint * interval '1 microsecond', '-infinity'),
          coalesce($4::text::uuid, '00000000-0000-0000-0000-000000000000'), coalesce($5::text, ''))`;

/**
 * A page of what is in a state: the first of each queue, in each part, and of these the first. Those stored at the same moment
 * are put in order outside: inside, the planner would sort all where it believes that there are few.
 */
function page(tables: Tables, state: DeliveryState): string {
  const { place, parts } = FOUND[state];
  const firsts = parts.map(
    (part) => `(
          select *, ctid as spot from ${tables.job} j where name = meant.name and ${part} and ${isBehind(place)}
          order by ${place} fetch first ($6::int) rows with ties)`,
  );
  return `
        select j.*, ${place} as place from ${MEANT} cross join lateral (${firsts.join(' union all ')}) as j
        where $2::uuid[] is null
        union all
        select j.*, ${place} from ${named(tables)}
        where (${parts.join(' or ')}) and ${isBehind(place)}
        order by place, id, name limit $6::int`;
}

// An exact number of microseconds, as text: a float has too few digits, and drivers may have been told to read times.
const PLACE = `(extract(epoch from place) * 1000000)::bigint::text as place`;

function list(tables: Tables, state: DeliveryState): string {
  const attempts = `(retry_count + 1 - coalesce((data->>'uncounted')::int, 0))`;
  // A number, because the application's pool may have been told to read times in its own way.
  const epochMs = (time: string) => `extract(epoch from ${time})::float8 * 1000`;
  return `
      select id, name, singleton_key as key, data, output, ${epochMs('created_on')} as "storedAt", ${PLACE},
        case when started_on is null then 0 else ${attempts} end as attempts,
        ${epochMs({ waiting: 'start_after', running: 'started_on', dead: 'completed_on' }[state])} as since
      from (${page(tables, state)}
      ) as page`;
}

/** What puts all attempts before a delivery again. Those of earlier versions, which counted in the data, do so too. */
const NEVER_BEGUN = `
          retry_count = 0, started_on = null, source_retry_count = null, source_created_on = null, source_id = null,
          data = case when data ? 'uncounted' then data - 'uncounted' else data end`;

// By where the rows lie, as the planner may prefer any index, or none, to the primary key.
const retry = (tables: Tables, keepCompletedSeconds: number) => `
      with portion as materialized (
        select id, name, place, spot from (${page(tables, 'dead')}
        ) as page
      ), retried as (
        update ${tables.job} set state = 'retry', start_after = now(), completed_on = null, blocked = false,
          deletion_seconds = ${keepCompletedSeconds}, ${NEVER_BEGUN}
        where ctid = any(array(select spot from portion)) and state = 'failed' returning name
      ), notified as (
        select pg_notify($7, name) from retried group by name
      )
      select id, name, ${PLACE}, (select count(*) from portion)::int as found, (select count(*) from retried)::int as count,
        (select count(*) from notified)::int as notified
      from portion order by portion.place desc, id desc, name desc limit 1`;

const discard = (tables: Tables) => `
      with discarded as (
        delete from ${tables.job}
        where ctid = any(array(select spot from ${named(tables)}
        )) and state in ('created', 'retry', 'failed') returning name
      ), notified as (
        select pg_notify($3, name) from discarded group by name
      )
      select count(*)::int as count, (select count(*) from notified)::int as notified from discarded`;

const probe = ({ job }: Tables) => `
      select id, name, data, state, singleton_key, policy, start_after, created_on, keep_until, started_on, completed_on,
        retry_count, retry_limit, expire_seconds, deletion_seconds, heartbeat_seconds, heartbeat_on, output, blocked
      from ${job} where false`;
