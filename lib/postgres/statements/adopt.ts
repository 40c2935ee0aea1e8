import type { Tables } from './tables.js';

/**
 * The statement that moves waiting and dead deliveries between queues, and answers with the queues that got some. `$1` are
 * the moves, and `$2` the queues to move from.
 *
 * Deliveries of a key stay where they are while one of them runs there. Where the new queue keeps order, those that hold up
 * their key move one at a time, and those that they hold up follow after the last of them.
 */
export const adoptStatement = ({ job, queue }: Tables) => `
  with moves as (
    select "from", "to", q.policy from json_to_recordset($1::text::json) as move("from" text, "to" text)
    join ${queue} q on q.name = "to"
  ), found as (
    select j.name, j.id, j.state, moves."to", moves.policy,
      row_number() over (of_key order by j.state > 'created' desc, j.created_on, j.id) as place,
      count(*) filter (where j.state > 'created') over of_key as blocking,
      exists (
        select from ${job} other where other.name = moves."to" and other.singleton_key = j.singleton_key
          and other.policy = 'key_strict_fifo' and other.state in ('active', 'retry', 'failed')
      ) as "isTaken"
    from ${job} j join moves on moves."from" = j.name
    where j.name = any($2::text[]) and j.state in ('created', 'retry', 'failed') and not exists (
      select from ${job} other where other.name = j.name and other.singleton_key = j.singleton_key
        and other.policy = 'key_strict_fifo' and other.state = 'active'
    )
    window of_key as (partition by moves."to", coalesce(j.singleton_key, j.id::text))
  ), gone as (
    delete from ${job} j using found
    where j.name = found.name and j.id = found.id and j.state = found.state and case
      when found.policy <> 'key_strict_fifo' then true
      when j.state > 'created' then found.place = 1 and not found."isTaken"
      else found.blocking = 0 or found.blocking = 1 and not found."isTaken" end
    returning j.*, found."to", found.policy as "newPolicy"
  ), moved as (
    insert into ${job} (
      id, name, data, state, singleton_key, group_id, policy, start_after, created_on, keep_until, started_on, completed_on,
      retry_count, retry_limit, retry_delay, expire_seconds, deletion_seconds, heartbeat_seconds, output, blocked, source_retry_count
    )
    select
      id, "to", data, state, case "newPolicy" when 'key_strict_fifo' then coalesce(singleton_key, id::text)
        else singleton_key end, group_id, "newPolicy", start_after, created_on, keep_until, started_on, completed_on,
      retry_count, retry_limit, retry_delay, expire_seconds, deletion_seconds, heartbeat_seconds, output, blocked, source_retry_count
    from gone
    on conflict (name, id) do nothing
    returning name
  )
  select distinct name from moved`;
