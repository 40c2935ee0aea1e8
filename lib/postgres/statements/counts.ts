import { epochMs } from './epoch-ms.js';
import type { Tables } from './tables.js';

/** What is counted of a queue: stretches of one index, each with the state whose number it adds to. */
export const STRETCHES: readonly {
  readonly of: 'waiting' | 'delayed' | 'running' | 'dead';
  readonly state: string;
  readonly isSuspected: boolean;
  readonly due: 'now' | 'later' | 'whenever';
}[] = [
  { of: 'waiting', state: 'created', isSuspected: false, due: 'now' },
  { of: 'waiting', state: 'retry', isSuspected: false, due: 'now' },
  { of: 'waiting', state: 'retry', isSuspected: true, due: 'whenever' },
  { of: 'delayed', state: 'created', isSuspected: false, due: 'later' },
  { of: 'delayed', state: 'retry', isSuspected: false, due: 'later' },
  { of: 'running', state: 'active', isSuspected: false, due: 'whenever' },
  { of: 'running', state: 'active', isSuspected: true, due: 'whenever' },
  { of: 'dead', state: 'failed', isSuspected: false, due: 'whenever' },
];

/** After which time, and until which, something is due. */
const DUE = { now: `'-infinity', now()`, later: `now(), 'infinity'`, whenever: `'-infinity', 'infinity'` };

/**
 * Writes what counts each of some stretches, no further than `$3`, and reads what is due first there: of the queues `$1` the
 * stretches `$2`, in pairs.
 */
export function countsStatement({ job, state }: Tables): string {
  const stretches = STRETCHES.map(
    (stretch, at) => `(${at}, '${stretch.state}'::${state}, ${stretch.isSuspected}, ${DUE[stretch.due]})`,
  );
  // The last condition and the order are those of an index. As the planner does not see the limit, it reads in that order, also
  // where it believes that there are few: else it would read all of a stretch, and sort it.
  return `
      select meant.name, stretch, count, "firstDueAt"
      from (select name, stretch, $3::int as most from unnest($1::text[], $2::int[]) as meant(name, stretch) offset 0) as meant
      join (values ${stretches.join(', ')}) as lies(stretch, state, blocked, after, until) using (stretch)
      cross join lateral (
        select count(*)::int as count, ${epochMs('min(start_after)')} as "firstDueAt" from (
          select start_after from ${job} where name = meant.name and state = lies.state and blocked = lies.blocked
            and start_after > lies.after and start_after <= lies.until
            and state in ('created', 'retry', 'active', 'failed')
          order by start_after limit meant.most
        ) as first
      ) as counted`;
}

/** Writes what counts what has ended of the queues `$1` within the last hour, of each no more than `$2`, the newest first. */
export const lastHourStatement = ({ job }: Tables) => `
      select meant.name, dead, completed, looked
      from (select name, $2::int as most from unnest($1::text[]) as meant(name) offset 0) as meant cross join lateral (
        select count(*) filter (where state = 'failed')::int as dead, count(*) filter (where state = 'completed')::int as completed,
          count(*)::int as looked
        from (
          select state from ${job} where name = meant.name and completed_on > now() - interval '1 hour'
          order by completed_on desc limit meant.most
        ) as last
      ) as counted`;
