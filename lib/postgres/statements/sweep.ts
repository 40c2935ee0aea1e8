import type { Tables } from './tables.js';

/** The statements that find what nobody was told of. */
export interface SweepStatements {
  /**
   * Looks through the queues `$1`. If `$3` says so, takes back claims that have run out, except for those named in `$2`.
   * Answers for each queue whether something is due, whether a suspect is, and when the next delivery will be.
   */
  readonly sweep: string;
  /** Takes back all claims, whoever has them. */
  readonly takeBack: string;
}

export const sweepStatements = (tables: Tables): SweepStatements => ({
  sweep: sweep(tables),
  takeBack: `${returned(tables)} where state = 'active'`,
});

/**
 * What comes back without having been settled, as its instance has died, or was cut off, is a suspect, and keeps its place. The
 * attempt is spared, unless it is known to have begun as the only suspect there.
 */
const returned = ({ job }: Tables) => `
        update ${job} set state = 'retry', blocked = true,
          source_retry_count = coalesce(source_retry_count, 0) + (source_created_on is null)::int,
          source_id = null, source_created_on = null, heartbeat_on = null`;

function sweep(tables: Tables): string {
  const { job } = tables;
  const ofOwn = (some: string, blocked = 'not blocked') =>
    `${job} j where j.name = own.name and state = '${some}' and ${blocked} and start_after`;
  const isDue = (some: string, blocked?: string) => `exists (select from ${ofOwn(some, blocked)} <= now())`;
  // A delivery that is due may have to wait for its key. That must not hide when the next one is due.
  const nextDue = (some: string) => `(select min(start_after) from ${ofOwn(some)} > now())`;
  return `
      with own as (
        select unnest($1::text[]) as name
      ), expired as (
        select j.name, j.id from ${job} j
        where $3 and j.name = any($1::text[]) and j.state = 'active'
          and j.heartbeat_on + j.heartbeat_seconds * interval '1 second' < now()
          and not (j.name || ' ' || j.id::text) = any($2::text[])
        for update of j skip locked
      ), returned as (
        ${returned(tables)}
        where (name, id) in (select name, id from expired) returning name
      )
      select name, ${isDue('created')} or ${isDue('retry')} as "isDue",
        name in (select name from returned) or ${isDue('retry', 'blocked')} as "isSuspected",
        extract(epoch from least(${nextDue('created')}, ${nextDue('retry')}) - now())::float8 * 1000 as "dueInMs"
      from own`;
}
