import type { Tables } from './tables.js';

/** Waits in a group, and may be claimed when it is due: exactly what our own index on groups holds. */
export const WAITS_IN_GROUP = `state < 'active' and not blocked and group_id is not null`;

/** The index by which a claim goes from group to group. */
export const groupIndex = ({ job }: Tables) => ({
  name: `${job.split('.')[0]}.events_job_group`,
  sql: (isConcurrent: boolean) =>
    `create index ${isConcurrent ? 'concurrently ' : ''}if not exists events_job_group
  on ${job} (name, group_id, start_after) where ${WAITS_IN_GROUP}`,
});

/** The group of a delivery, as `groupOf()` says it, by what its data holds. */
export const groupOf = (by: string) => `(
          select case when value is null then '-' when octet_length(value) > 200 then '#' || md5(value) else '=' || value end
          from (select case ${by} when 'key' then data ->> 'key' else data -> 'headers' ->> ${by} end as value) as told)`;

/** How many deliveries one statement looks at. */
const AT_ONCE = 1_000;

/**
 * Says of what waits in queue `$1` and has no group what its group is, as `$2` tells groups: of so many at a time, from after the
 * time `$3`. Answers with the time that it has come to, and whether there may be more. Whoever is at one of them has it.
 */
export const assignGroups = ({ job }: Tables) => `
      with looked as materialized (
        select ctid as spot, group_id as "group", start_after from ${job}
        where name = $1 and state = 'created' and not blocked
          and start_after > coalesce($3::text::timestamptz, '-infinity')
        order by start_after fetch first ${AT_ONCE} rows with ties
      ), free as materialized (
        select ctid as spot from ${job} where ctid = any(array(select spot from looked where "group" is null))
          and state = 'created' and group_id is null for update skip locked
      ), grouped as (
        update ${job} set group_id = ${groupOf('$2::text')}
        where ctid = any(array(select spot from free)) and state = 'created' returning name
      )
      select max(start_after)::text as after, count(*) >= ${AT_ONCE} as "isMore", (select count(*) from grouped)::int as grouped
      from looked`;
