import { adoption } from './adopt.js';
import { isMarked } from '../caller-transactions.js';
import { ORDERED } from '../queue-name.js';

/**
 * What pg-boss' own functions do not say, as SQL on its tables, which its documentation offers for that: several queues in
 * one statement, delays in milliseconds, the order of a key, and what is due. Times are the database's, never ours.
 *
 * A delivery is a job: `name` is its address, `singleton_key` its key, `data` holds `{ event, key, arguments }`. Of its states
 * `created` and `retry` are waiting, `active` is running, `failed` is dead. `retry_count` grows with each claim and so
 * tells attempts apart; `data.uncounted` says how many of them do not count.
 */
export class Statements {
  /** Stores `$1`, all or none, and notifies on `$2` of each queue that has something due; for a statement of its own. */
  readonly store: string;
  /**
   * The same in somebody's transaction, which was marked with `$3`: its commit would fail if a queue were missing, so it
   * tells which.
   */
  readonly storeInTransaction: string;
  /** The same, with `$3` or without, for queues of which some keep the order of keys: by locks that are held to the commit. */
  readonly storeInOrder: string;
  /**
   * Completes attempts of queue `$1`, with ids `$2`, as far as they are the attempts `$3` still, which are ids and
   * numbers; repeating it changes nothing.
   */
  readonly complete: string;
  /** Completes the one attempt `$3` of job `$2` in queue `$1`, with parameters that any driver takes. */
  readonly completeInTransaction: string;
  /**
   * Writes down what else became of attempts, named as above: `$4`; and notifies on `$5` if any is due again. Tells which
   * it has found locked.
   */
  readonly settle: string;
  /** Renews claims, named as above, and tells which are held still, or were completed by their holder. */
  readonly renew: string;
  /** Of queues `$1`: takes back claims that have run out, but for those on `$2`, and tells what is due, and when the next is. */
  readonly sweep: string;
  /** Takes back all claims, whoever had them. */
  readonly takeBack: string;
  /** Moves what waits or is dead from queues, which are `$2`, to others, as in `$1`. */
  readonly adopt: string;
  readonly counts: string;
  readonly list: string;
  readonly retry: string;
  readonly discard: string;
  readonly queues: string;
  /** Fails unless all is there that the others need. */
  readonly probe: string;

  /** @param keepCompletedSeconds how long a completed delivery is remembered, so that it is not stored again */
  constructor(schema: string, leaseSeconds: number, keepCompletedSeconds: number) {
    const job = `${schema}.job`;
    const [queue, state] = [`${schema}.queue`, `${schema}.job_state`];
    const attempts = `(retry_count + 1 - coalesce((data->>'uncounted')::int, 0))`;
    // By the primary key, whatever the planner believes of the table: a join alone may well read all of it.
    const isHeld = `
      j.name = $1 and j.id = any($2::uuid[]) and (j.id::text || ' ' || j.retry_count) = any($3::text[])`;
    const complete = `update ${job} j set state = 'completed', completed_on = now(), heartbeat_on = null`;

    const input = `json_to_recordset($1::text::json) as input(name text, id uuid, key text, "delayMs" float8, data jsonb)`;
    const columns = `
      id, name, data, singleton_key, start_after, keep_until, retry_limit, expire_seconds, deletion_seconds,
      heartbeat_seconds, policy, created_on`;
    const values = `
      id, input.name, data, key, now() + "delayMs" * interval '1 millisecond', now() + interval '1000 years',
      1000000000, 2000000000, ${keepCompletedSeconds}, ${leaseSeconds}`;
    const notified = `select pg_notify($2, name) from stored where start_after <= now() group by name`;
    const missing = `select name from input where not exists (select from ${queue} q where q.name = input.name)`;

    // Planning takes longer than doing: each knows no more than it must.
    this.store = `
      with stored as (
        insert into ${job} (${columns}) select ${values}, 'standard', now() from ${input}
        on conflict do nothing returning name, start_after
      )
      ${notified}`;

    this.storeInTransaction = `
      with input as (select * from ${input}), stored as (
        insert into ${job} (${columns}) select ${values}, 'standard', now() from input
        where not exists (${missing}) and ${isMarked}
        on conflict do nothing returning name, start_after
      ), notified as (${notified})
      select (${missing} limit 1) as missing, ${isMarked} as "isOpen", (select count(*) from notified)::int as notified`;

    this.storeInOrder = `
      with input as (select * from ${input}), locked as materialized (
        select pg_advisory_xact_lock(lock) from (
          select distinct hashtextextended(input.name || ' ' || key, 0) as lock
          from input join ${queue} q on q.name = input.name and q.policy = 'key_strict_fifo' order by lock
        ) as locks
      ), stored as (
        insert into ${job} (${columns})
        select ${values}, q.policy, case when q.policy = 'key_strict_fifo' then greatest(clock_timestamp(), (
            select max(before.created_on) + interval '1 microsecond' from ${job} as before
            where before.name = input.name and before.singleton_key = key and before.state < 'active'
          )) else now() end
        from input join ${queue} q on q.name = input.name
        where not exists (${missing}) and ${isMarked} and (select count(*) from locked) >= 0
        on conflict (name, id) do nothing returning name, start_after
      ), notified as (${notified})
      select (${missing} limit 1) as missing, ${isMarked} as "isOpen", (select count(*) from notified)::int as notified`;

    this.complete = `${complete} where ${isHeld} and j.state in ('active', 'completed') returning j.id`;

    this.completeInTransaction = `
      ${complete} where j.name = $1 and j.id = $2::text::uuid and j.retry_count = $3::int and j.state = 'active'
      returning j.id`;

    // A row that is locked is being completed by its callback's own transaction, which may take as long as it takes.
    this.settle = `
      with free as (
        select j.id from ${job} j where ${isHeld} and j.state in ('active', 'retry', 'failed') for update skip locked
      ), settled as (
        update ${job} j set
          state = claim.state::${state},
          start_after = case claim.state
            when 'retry' then now() + claim."afterMs" * interval '1 millisecond' else j.start_after end,
          completed_on = case claim.state when 'retry' then null else now() end,
          deletion_seconds = case claim.state when 'failed' then 0 else j.deletion_seconds end,
          heartbeat_on = null,
          output = coalesce(claim.output, j.output),
          data = case when claim."isUncounted" and j.state = 'active' then j.data || jsonb_build_object(
            'uncounted', coalesce((j.data->>'uncounted')::int, 0) + 1) else j.data end
        from free join json_to_recordset($4::text::json) as claim(
          id uuid, state text, "afterMs" float8, output jsonb, "isUncounted" boolean) on claim.id = free.id
        where j.name = $1 and j.id = free.id and j.state in ('active', claim.state::${state})
        returning j.name, j.id, j.state, j.start_after
      ), notified as (
        select pg_notify($5, name) from settled where state = 'retry' and start_after <= now() group by name
      )
      select id, false as "isLocked", (select count(*) from notified)::int as notified from settled
      union all
      select j.id, true, 0 from ${job} j
        where ${isHeld} and j.state = 'active' and not exists (select from free where free.id = j.id)`;

    this.renew = `
      with free as (
        select j.name, j.id from ${job} j where ${isHeld} and j.state = 'active' for update skip locked
      ), renewed as (
        update ${job} j set heartbeat_on = now() from free where j.name = $1 and j.id = free.id
      )
      select j.id from ${job} j where ${isHeld} and j.state in ('active', 'completed')`;

    // What is due may have to wait for its key: that must not hide what will be due next.
    const ofOwn = (some: string) =>
      `${job} j where j.name = own.name and state = '${some}' and not blocked and start_after`;
    const isDue = (some: string) => `exists (select from ${ofOwn(some)} <= now())`;
    const nextDue = (some: string) => `(select min(start_after) from ${ofOwn(some)} > now())`;
    this.sweep = `
      with own as (
        select unnest($1::text[]) as name
      ), expired as (
        select j.name, j.id from ${job} j
        where j.name = any($1::text[]) and j.state = 'active' and j.heartbeat_on + j.heartbeat_seconds * interval '1 second' < now()
          and not (j.name || ' ' || j.id::text) = any($2::text[])
        for update of j skip locked
      ), returned as (
        update ${job} j set state = 'retry', start_after = now(), heartbeat_on = null
        from expired where j.name = expired.name and j.id = expired.id returning j.name
      )
      select name,
        name in (select name from returned) or ${isDue('created')} or ${isDue('retry')} as "isDue",
        extract(epoch from least(${nextDue('created')}, ${nextDue('retry')}) - now())::float8 * 1000 as "dueInMs"
      from own`;

    this.takeBack = `update ${job} set state = 'retry', start_after = now(), heartbeat_on = null where state = 'active'`;

    this.adopt = adoption(job, queue);

    this.counts = `
      select name,
        count(*) filter (where state < 'active' and start_after <= now())::int as waiting,
        count(*) filter (where state < 'active' and start_after > now())::int as delayed,
        count(*) filter (where state = 'active')::int as running,
        count(*) filter (where state = 'failed')::int as dead
      from ${job} where state in ('created', 'retry', 'active', 'failed') group by name`;

    const matches = `
      ($1::text is null or name in (select json_array_elements_text($1::text::json))) and
      ($2::text is null or id in (select json_array_elements_text($2::text::json)::uuid))`;

    // Of an ordered callback and of one that is not alike, as a page may end between the two.
    const address = `regexp_replace(name, '^([^/]+/[^/]+)${ORDERED}$', '\\1') collate "C"`;
    // Not as the application's pool may have been told to read times.
    const epochMs = (time: string) => `extract(epoch from ${time})::float8 * 1000`;
    this.list = `
      select id, name, singleton_key as key, data, output, state, ${epochMs('created_on')} as "storedAt",
        case when started_on is null then 0 else ${attempts} end as attempts,
        ${epochMs("case state when 'active' then started_on when 'failed' then completed_on else start_after end")} as since
      from ${job}
      where ${matches} and state in (select json_array_elements_text($3::text::json)::${state})
        and ($4::text is null or (id, ${address}) > ($4::text::uuid, $5::text))
      order by id, ${address} limit $6::int`;

    this.retry = `
      with retried as (
        update ${job} set state = 'retry', start_after = now(), completed_on = null,
          deletion_seconds = ${keepCompletedSeconds},
          data = data || jsonb_build_object('uncounted', retry_count + 1)
        where ${matches} and state = 'failed' returning name
      ), notified as (
        select pg_notify($3, name) from retried group by name
      )
      select count(*)::int as count, (select count(*) from notified)::int as notified from retried`;

    this.discard = `
      with discarded as (
        delete from ${job} where ${matches} and state in ('created', 'retry', 'failed') returning name
      ), notified as (
        select pg_notify($3, name) from discarded group by name
      )
      select count(*)::int as count, (select count(*) from notified)::int as notified from discarded`;

    this.queues = `select name from ${queue}`;
    this.probe = `
      select id, name, data, state, singleton_key, policy, start_after, created_on, keep_until, started_on, completed_on,
        retry_count, retry_limit, expire_seconds, deletion_seconds, heartbeat_seconds, heartbeat_on, output, blocked
      from ${job} where false`;
  }
}
