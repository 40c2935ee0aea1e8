import { isMarkedWith } from '../caller-transactions.js';
import type { Tables } from './tables.js';

/**
 * The statements that claimed deliveries need. All but the two of one attempt take several attempts at jobs of one
 * queue: `$1` is the queue, `$2` are the jobs' ids, and `$3` are ids with the number of the attempt, as in `'… 0'`. They
 * pass over a job of which a later attempt has begun.
 */
export interface AttemptStatements {
  /** Completes attempts. Repeating it changes nothing. */
  readonly complete: string;
  /**
   * Completes attempt `$3` of job `$2` in queue `$1`, with parameters that any driver takes, if the transaction marked with
   * `$4` runs it.
   */
  readonly completeInTransaction: string;
  /** Whether attempt `$3` of job `$2` in queue `$1` has completed it. */
  readonly isCompleted: string;
  /**
   * Ends attempts in any other way, which `$4` tells. Notifies on `$5` if one is due again. Answers with the attempts that
   * it has ended, and with those that it has found locked.
   */
  readonly settle: string;
  /** Renews claims. Answers with those that are still ours, or were completed by us. */
  readonly renew: string;
}

export const attemptStatements = (tables: Tables): AttemptStatements => ({
  complete: `${complete(tables)} where ${IS_OURS} and j.state in ('active', 'completed') returning j.id`,
  completeInTransaction: `
      with completed as (
        ${complete(tables)} where ${IS_ATTEMPT} and j.state = 'active' and ${isMarkedWith('$4')} returning j.id
      )
      select ${isMarkedWith('$4')} as "isOpen", (select count(*) from completed)::int as completed`,
  isCompleted: `select j.id from ${tables.job} j where ${IS_ATTEMPT} and j.state = 'completed'`,
  settle: settle(tables),
  renew: renew(tables),
});

// It names the primary key, so that the planner uses it whatever it believes of the table: a join alone may read all of it.
const IS_OURS = `
      j.name = $1 and j.id = any($2::uuid[]) and (j.id::text || ' ' || j.retry_count) = any($3::text[])`;

const IS_ATTEMPT = `j.name = $1 and j.id = $2::text::uuid and j.retry_count = $3::int`;

const complete = ({ job }: Tables) =>
  `update ${job} j set state = 'completed', completed_on = now(), heartbeat_on = null`;

// A locked row is being completed by its callback's own transaction, and nobody knows how long that takes.
const settle = ({ job, state }: Tables) => `
      with free as (
        select j.id from ${job} j where ${IS_OURS} and j.state in ('active', 'retry', 'failed') for update skip locked
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
        where ${IS_OURS} and j.state = 'active' and not exists (select from free where free.id = j.id)`;

const renew = ({ job }: Tables) => `
      with free as (
        select j.name, j.id from ${job} j where ${IS_OURS} and j.state = 'active' for update skip locked
      ), renewed as (
        update ${job} j set heartbeat_on = now() from free where j.name = $1 and j.id = free.id
      )
      select j.id from ${job} j where ${IS_OURS} and j.state in ('active', 'completed')`;
