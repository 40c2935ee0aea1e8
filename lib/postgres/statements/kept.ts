import type { Tables } from './tables.js';

/**
 * The statements that look into the deliveries that are kept, and change them. For `list`, `retry` and `discard`, `$1`
 * are the queues that are meant, and `$2` the ids, each as JSON; `null` stands for all.
 */
export interface KeptStatements {
  /** Counts the deliveries of each queue by what they wait for. */
  readonly counts: string;
  /**
   * Reads at most `$7` deliveries in the states `$3`, in the order of storing, after the one stored at microsecond `$4` with
   * id `$5` in queue `$6`.
   */
  readonly list: string;
  /** Makes dead deliveries wait again, and notifies on `$3`: at most `$7` after the one that `$4` to `$6` tell. */
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
  list: list(tables),
  retry: retry(tables, keepCompletedSeconds),
  discard: discard(tables),
  queues: `select name from ${tables.queue}`,
  probe: probe(tables),
});

const MATCHES = `
      ($1::text is null or name in (select json_array_elements_text($1::text::json))) and
      ($2::text is null or id in (select json_array_elements_text($2::text::json)::uuid))`;

const counts = ({ job }: Tables) => `
      select name,
        count(*) filter (where state < 'active' and start_after <= now())::int as waiting,
        count(*) filter (where state < 'active' and start_after > now())::int as delayed,
        count(*) filter (where state = 'active')::int as running,
        count(*) filter (where state = 'failed')::int as dead
      from ${job} where state in ('created', 'retry', 'active', 'failed') group by name`;

// An exact number of microseconds, as text: a float has too few digits, and drivers may have been told to read times.
const PLACE = `(extract(epoch from created_on) * 1000000)::bigint`;
const IS_BEHIND = `($4::text is null or (${PLACE}, id, name) > ($4::text::bigint, $5::text::uuid, $6::text))`;

function list({ job, state }: Tables): string {
  const attempts = `(retry_count + 1 - coalesce((data->>'uncounted')::int, 0))`;
  // A number, because the application's pool may have been told to read times in its own way.
  const epochMs = (time: string) => `extract(epoch from ${time})::float8 * 1000`;
  return `
      select id, name, singleton_key as key, data, output, ${epochMs('created_on')} as "storedAt", ${PLACE}::text as place,
        case when started_on is null then 0 else ${attempts} end as attempts,
        ${epochMs("case state when 'active' then started_on when 'failed' then completed_on else start_after end")} as since
      from ${job}
      where ${MATCHES} and state in (select json_array_elements_text($3::text::json)::${state}) and ${IS_BEHIND}
      order by ${PLACE}, id, name limit $7::int`;
}

/** What puts all attempts before a delivery again. Those of earlier versions, which counted in the data, do so too. */
const NEVER_BEGUN = `
          retry_count = 0, started_on = null, source_retry_count = null, source_created_on = null, source_id = null,
          data = case when data ? 'uncounted' then data - 'uncounted' else data end`;

const retry = ({ job }: Tables, keepCompletedSeconds: number) => `
      with portion as (
        select name, id, ${PLACE}::text as place from ${job} where ${MATCHES} and state = 'failed' and ${IS_BEHIND}
        order by ${PLACE}, id, name limit $7::int
      ), retried as (
        update ${job} j set state = 'retry', start_after = now(), completed_on = null, blocked = false,
          deletion_seconds = ${keepCompletedSeconds}, ${NEVER_BEGUN}
        from portion where j.name = portion.name and j.id = portion.id and j.state = 'failed' returning j.name
      ), notified as (
        select pg_notify($3, name) from retried group by name
      )
      select id, name, place, (select count(*) from retried)::int as count, (select count(*) from notified)::int as notified
      from portion order by place::bigint desc, id desc, name desc limit 1`;

const discard = ({ job }: Tables) => `
      with discarded as (
        delete from ${job} where ${MATCHES} and state in ('created', 'retry', 'failed') returning name
      ), notified as (
        select pg_notify($3, name) from discarded group by name
      )
      select count(*)::int as count, (select count(*) from notified)::int as notified from discarded`;

const probe = ({ job }: Tables) => `
      select id, name, data, state, singleton_key, policy, start_after, created_on, keep_until, started_on, completed_on,
        retry_count, retry_limit, expire_seconds, deletion_seconds, heartbeat_seconds, heartbeat_on, output, blocked
      from ${job} where false`;
