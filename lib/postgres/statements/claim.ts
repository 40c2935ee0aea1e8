import { SPARED_OFTEN } from '../../engine/index.js';
import { isNotPaused } from './pauses.js';
import type { Tables } from './tables.js';

/**
 * The statements that claim deliveries. All claim in queue `$1`, at most `$2` of them, by token `$3`, for `$4` seconds, and
 * answer with what the claimed jobs are; without their data where that is large. Where the schema knows of pauses, they claim
 * nothing of a queue that is paused.
 */
export interface ClaimStatements {
  /** Claims what is due, the longest due first. */
  readonly claim: string;
  /**
   * Claims what is due and next of its key: of the keys `$5`, what is to be tried again, and then from key to key after `$6`,
   * or from the first if that is null; the other way round if `$7`. A row without an id tells the last key that it has come
   * to, whether no key is left after it, and whether it has stopped because it had found enough.
   */
  readonly claimInOrder: string;
  /** Claims what is suspected of ending its process; what was spared often only if `$5` says that it will be alone. */
  readonly claimSuspect: string;
  /** Reads the data of job `$2` in queue `$1`. */
  readonly load: string;
  /** Notes that the suspects `$2`, of queue `$1`, really begin, as attempts `$3`. */
  readonly begin: string;
  /** Gives back all that was claimed in queue `$1` by token `$2` and has not begun, and answers with that. */
  readonly unclaim: string;
}

/** Data that takes more, as the database stores it, does not come with the claim. */
const LARGE_BYTES = 65_536;
/** How many keys that something holds up one claim steps over. */
const MOST_STEPS = 500;

/** @param heedsPauses whether the schema knows of them: one of an older version does not */
export const claimStatements = (tables: Tables, heedsPauses: boolean): ClaimStatements => ({
  ...claimingStatements({ ...tables, isFree: heedsPauses ? isNotPaused(tables) : 'true' }),
  load: `select data from ${tables.job} where name = $1 and id = $2::text::uuid`,
  begin: `
      update ${tables.job} j set source_created_on = now() where ${IS_ATTEMPT_OF_SOME} and state = 'active'
      returning id, source_id as token`,
  unclaim: `
      update ${tables.job} set ${AS_BEFORE}, state = 'retry' where name = $1 and state = 'active' and source_id = $2::uuid
      returning id`,
});

/** The tables, and a condition that a queue `$1` fulfils that may be claimed from. */
interface Claimable extends Tables {
  readonly isFree: string;
}

const claimingStatements = (tables: Claimable) => ({
  claim: claim(tables),
  claimInOrder: claimInOrder(tables),
  claimSuspect: claimSuspect(tables),
});

/** Whether a job is at one of the attempts `$3`, which name its id, its number and the token of its claim. */
export const IS_ATTEMPT_OF_SOME = `
      j.name = $1 and j.id = any($2::uuid[])
      and (j.id::text || ' ' || j.retry_count || ' ' || j.source_id) = any($3::text[])`;

/** What undoes a claim, so that it counts for nothing, and the job keeps its place. */
export const AS_BEFORE = `
        retry_count = greatest(retry_count - 1, 0), started_on = case when retry_count > 0 then started_on end,
        source_id = null, source_created_on = null, heartbeat_on = null`;

// Where they lie is known, as they are locked: a plan that was made in an empty store can go wrong over no index. The claim may
// have waited for a lock, and is as new as the moment at which it gets through.
export const claimed = ({ job }: Tables, taken: string) => `
      update ${job} set state = 'active', started_on = now(), heartbeat_on = clock_timestamp(), heartbeat_seconds = $4::int,
        source_id = $3::uuid, source_created_on = null,
        retry_count = case when started_on is null then retry_count else retry_count + 1 end
      where ctid = any(array(${taken}))
      returning id, retry_count as "retryCount", coalesce(source_retry_count, 0) as spared,
        retry_delay::float8 * 1000 as "postponedMs", case when pg_column_size(data) <= ${LARGE_BYTES} then data end as data, start_after as "dueOn"`;

export const due = ({ job }: Tables, state: string, blocked = 'not blocked') => `
        select id, ctid as spot, start_after from ${job}
        where name = $1 and state = '${state}' and ${blocked} and start_after <= now()
        order by start_after limit $2 for update skip locked`;

// Each state by itself, as the index has each in the order of start_after.
const claim = (tables: Claimable) => `
      with created as (${due(tables, 'created')}
      ), retried as (${due(tables, 'retry')}
      ), claimed as (
        ${claimed(
          tables,
          `select spot from (select * from created union all select * from retried) as waiting where ${tables.isFree} order by start_after limit $2`,
        )}
      )
      select id, "retryCount", spared, "postponedMs", data from claimed order by "dueOn"`;

const claimSuspect = (tables: Claimable) => `
      with suspected as (${due(tables, 'retry', `blocked and ($5 or coalesce(source_retry_count, 0) < ${SPARED_OFTEN})`)}
      ), claimed as (
        ${claimed(tables, `select spot from suspected where ${tables.isFree}`)}
      )
      select id, "retryCount", spared, "postponedMs", data from claimed`;

/** Exactly what pg-boss' index on the heads of keys holds. */
const OF_KEYS = `state < 'active' and not blocked and policy = 'key_strict_fifo'`;

/** The delivery that is next of a key, unless something holds the key up. */
const next = ({ job }: Tables, key: string) => `
          select id, ctid as spot from ${job}
          where name = $1 and singleton_key = ${key} and state = 'created' and ${OF_KEYS} and start_after <= now()
            and not exists (
              select from ${job} held where held.name = $1 and held.singleton_key = ${key}
                and held.state in ('active', 'retry', 'failed') and held.policy = 'key_strict_fifo'
            )
          order by created_on, id limit 1`;

/** The first key for which the condition holds. */
const firstKey = ({ job }: Tables, condition: string) => `(
            select singleton_key as key, state from ${job}
            where name = $1 and ${condition} and ${OF_KEYS} order by singleton_key, state desc limit 1)`;

/** One step: a key, and what is next of it. */
const step = (tables: Tables, key: string) => `
          ${key}
        ) as at left join lateral (${next(tables, 'at.key')}
        ) as of_key on at.state = 'created'`;

// What waits for its next attempt is the only one of its key that does, as pg-boss' index has it.
const claimInOrder = (tables: Claimable) => `
      with recursive free as materialized (
        select where ${tables.isFree}
      ), asked as (
        select of_key.* from free cross join unnest($5::text[]) as at(key) cross join lateral (${next(tables, 'at.key')}
        ) as of_key limit $2
      ), retried as (${due(tables, 'retry')}
      ), rest as (
        select $2 - case when $7::boolean then 0 else count(*) end as room from asked
      ), walk as (
        select at.key, of_key.id, of_key.spot, 1 as steps, (of_key.id is not null)::int as found from free cross join (
          ${step(tables, `${firstKey(tables, '$6::text is null')} union all ${firstKey(tables, 'singleton_key > $6::text')}`)}
        union all
        select at.key, of_key.id, of_key.spot, steps + 1, found + (of_key.id is not null)::int from walk cross join lateral (
          ${step(tables, firstKey(tables, 'singleton_key > walk.key'))}
        where found < (select room from rest) and steps < ${MOST_STEPS}
      ), chosen as (
        select id, spot from (
          select id, spot, case when $7::boolean then 3 else 0 end as rank, null::timestamptz as start_after from asked
          union all select id, spot, 1, start_after from free cross join retried
          union all select id, spot, 2, null from walk where id is not null
        ) as found order by rank, start_after limit $2
      ), cut as (
        select min(key) as key from walk where id is not null and id not in (select id from chosen)
      ), taken as (
        select ctid as spot, state from ${tables.job} where ctid = any(array(select spot from chosen)) for update skip locked
      ), claimed as (
        ${claimed(tables, `select spot from taken where state in ('created', 'retry')`)}
      )
      select id, "retryCount", spared, "postponedMs", data, null as "lastKey", false as "isEnd", false as "isFull" from claimed
      union all
      select null, null, null, null, null,
        (select max(walk.key) from walk, cut where cut.key is null or walk.key < cut.key),
        coalesce((select max(steps) < ${MOST_STEPS} and max(found) < max(room) from walk, rest), true),
        coalesce((select max(found) >= max(room) from walk, rest), false)`;
