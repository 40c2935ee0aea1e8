import type { Tables } from './tables.js';

/** The statements that find what nobody was notified of. */
export interface SweepStatements {
  /**
   * Looks through the queues `$1`. Takes back claims that have run out, except for those named in `$2`. Answers for each
   * queue whether something is due, and when the next delivery will be.
   */
  readonly sweep: string;
  /** Takes back all claims, whoever has them. */
  readonly takeBack: string;
}

export const sweepStatements = (tables: Tables): SweepStatements => ({
  sweep: sweep(tables),
  takeBack: `update ${tables.job} set state = 'retry', start_after = now(), heartbeat_on = null where state = 'active'`,
});

function sweep({ job }: Tables): string {
  // A delivery that is due may have to wait for its key. That must not hide when the next one is due.
  const ofOwn = (some: string) =>
    `${job} j where j.name = own.name and state = '${some}' and not blocked and start_after`;
  const isDue = (some: string) => `exists (select from ${ofOwn(some)} <= now())`;
  const nextDue = (some: string) => `(select min(start_after) from ${ofOwn(some)} > now())`;
  return `
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
}
