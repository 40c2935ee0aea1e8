import { epochMs } from './epoch-ms.js';
import type { Tables } from './tables.js';

/** The statements by which callbacks are paused: the queues are marked in which their deliveries lie. */
export interface PauseStatements {
  /** Marks the queues `$1`, and answers with those that were not. */
  readonly pause: string;
  /** Takes the marks from the queues `$1`, has all instances look there by notifying on `$2`, and answers with those that had one. */
  readonly resume: string;
  /** Names the queues that are marked, and tells since when, in milliseconds since 1970. */
  readonly paused: string;
  /** Marks queue `$1`, which is new, if one of the queues `$2` is, from which deliveries move there. */
  readonly inherit: string;
}

export const pauseStatements = ({ paused }: Tables): PauseStatements => ({
  pause: `
      insert into ${paused} (queue, since) select name, now() from unnest($1::text[]) as meant(name) order by name
      on conflict do nothing returning queue`,
  // A queue's name alone calls all that work on it, and one after a star calls them to suspects.
  resume: `
      with marked as (
        select queue from ${paused} where queue = any($1::text[]) order by queue for update
      ), gone as (
        delete from ${paused} where queue in (select queue from marked) returning queue
      )
      select queue, pg_notify($2, queue), pg_notify($2, '* ' || queue) from gone`,
  paused: `select queue, ${epochMs('since')} as since from ${paused}`,
  inherit: `
      insert into ${paused} (queue, since)
      select $1::text, min(since) from ${paused} where queue = any($2::text[]) having count(*) > 0
      on conflict do nothing`,
});

/** Whether the queue `$1` is free to be claimed from. Found once for each statement, by a look into an index that is nearly empty. */
export const isNotPaused = ({ paused }: Tables) => `not exists (select from ${paused} where queue = $1)`;

/** Whether this role may see what is paused: all statements need that which claim. */
export const maySeePauses = ({ paused }: Tables) => may(paused, 'select');

/** Whether this role may pause and resume. */
export const mayPause = ({ paused }: Tables) =>
  ['select', 'insert', 'update', 'delete'].map((right) => may(paused, right)).join(' and ');

const may = (table: string, right: string) =>
  `coalesce(has_table_privilege(to_regclass('${table}'), '${right}'), false)`;
