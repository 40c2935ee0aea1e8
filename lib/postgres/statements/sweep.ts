import type { Tables } from './tables.js';

/** The statements that find what nobody was told of. */
export interface SweepStatements {
  /**
   * Looks through the queues `$1`. If `$3` says so, takes back claims that have run out, except for those named in `$2`.
   * Answers for each queue whether something is due, whether a suspect is, when the next delivery will be, and when the next claim
   * will have run out. Of a queue that is paused it only says the last: nothing of it is to begin.
   */
  readonly sweep: string;
  /** Takes back all claims, whoever has them. */
  readonly takeBack: string;
}

/** What a sweep answers about one queue. */
export interface Due {
  readonly name: string;
  /** Something is due, though it may have to wait for its key. */
  readonly isDue: boolean;
  /** Something is due that may have ended the process of another instance. */
  readonly isSuspected: boolean;
  /** How long it is until the next delivery is due. */
  readonly dueInMs: number | null;
  /** How long it is until the next claim runs out, if it is not renewed: told to who takes them back. */
  readonly expiresInMs: number | null;
}

/** @param heedsPauses whether the schema knows of them: one of an older version does not */
export const sweepStatements = (tables: Tables, heedsPauses: boolean): SweepStatements => ({
  sweep: sweep(tables, heedsPauses),
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

function sweep(tables: Tables, heedsPauses: boolean): string {
  const { job, paused } = tables;
  const ofOwn = (some: string, blocked = 'not blocked') =>
    `${job} j where j.name = own.name and state = '${some}' and ${blocked} and start_after`;
  // Limited, so that each reads one row by the index: without it, the planner may read all that is due instead.
  const isDue = (some: string, blocked?: string) =>
    `coalesce((select true from ${ofOwn(some, blocked)} <= now() order by start_after limit 1), false)`;
  // A delivery that is due may have to wait for its key. That must not hide when the next one is due.
  const nextDue = (some: string) => `(select start_after from ${ofOwn(some)} > now() order by start_after limit 1)`;
  const expiresOn = `j.heartbeat_on + j.heartbeat_seconds * interval '1 second'`;
  const isRunning = `j.state = 'active' and not (j.name || ' ' || j.id::text) = any($2::text[])`;
  const inMs = (time: string) => `extract(epoch from ${time} - now())::float8 * 1000`;
  const unlessPaused = (otherwise: string, found: string) =>
    heedsPauses ? `case when own.name in (select queue from ${paused}) then ${otherwise} else ${found} end` : found;
  return `
      with own as (
        select unnest($1::text[]) as name
      ), expired as (
        select j.ctid as spot from ${job} j
        where $3 and j.name = any($1::text[]) and ${isRunning} and ${expiresOn} < now()
        for update of j skip locked
      ), returned as (
        ${returned(tables)}
        where ctid = any(array(select spot from expired)) returning name
      )
      select name, ${unlessPaused('false', `${isDue('created')} or ${isDue('retry')}`)} as "isDue",
        ${unlessPaused('false', `name in (select name from returned) or ${isDue('retry', 'blocked')}`)} as "isSuspected",
        ${unlessPaused('null', inMs(`least(${nextDue('created')}, ${nextDue('retry')})`))} as "dueInMs",
        ${inMs(`(
          select min(${expiresOn}) from ${job} j where $3 and j.name = own.name and ${isRunning} and ${expiresOn} >= now()
        )`)} as "expiresInMs"
      from own`;
}
