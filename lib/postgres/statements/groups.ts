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

/** Says of what waits in queue `$1` and has no group what its group is, as `$2` tells groups. */
export const assignGroups = ({ job }: Tables) => `
      update ${job} set group_id = ${groupOf('$2::text')}
      where name = $1 and state in ('created', 'retry') and group_id is null`;
