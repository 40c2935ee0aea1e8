import { MOST_HISTORY } from '../../engine/index.js';
import { isMarkedWith, saysYesIf } from '../caller-transactions.js';
import { IS_ATTEMPT_OF_SOME as IS_OURS } from './claim.js';
import { NEED_NOT_LAST } from './need-not-last.js';
import type { Tables } from './tables.js';

/**
 * The statements that claimed deliveries need. All but the two of one attempt take several attempts at jobs of one
 * queue: `$1` is the queue, `$2` are the jobs' ids, and `$3` are ids with the number of the attempt and the token of its claim. They
 * pass over a job that has been claimed since.
 */
export interface AttemptStatements {
  /** Completes attempts. Repeating it changes nothing. */
  readonly complete: string;
  /**
   * Completes attempt `$3` of job `$2` in queue `$1`, claimed by `$5`, with parameters that any driver takes, if the
   * transaction marked with `$4` runs it.
   */
  readonly completeInTransaction: string;
  /** Whether attempt `$3` of job `$2` in queue `$1`, claimed by `$4`, has completed it. */
  readonly isCompleted: string;
  /**
   * Ends attempts in any other way, which `$4` tells. Notifies on `$5`, whom `$6` names, if one is due again. Answers with the attempts that
   * it has ended, and with those that it has found locked.
   */
  readonly settle: string;
  /** Renews claims. Answers with those that are still ours, or were completed by us. */
  readonly renew: string;
}

export const attemptStatements = (tables: Tables): AttemptStatements => ({
  complete: `${complete(tables)} where ${IS_OURS} and j.state in ('active', 'completed') returning ${NAMED}`,
  completeInTransaction: `
      with completed as (
        ${complete(tables)} where ${IS_ATTEMPT} and j.source_id = $5::text::uuid and j.state = 'active' and ${isMarkedWith('$4')}
        returning j.id
      )
      select ${saysYesIf(isMarkedWith('$4'))} as "isOpen", (select 'yes' from completed) as completed`,
  isCompleted: `select j.id from ${tables.job} j where ${IS_ATTEMPT} and j.source_id = $4::text::uuid and j.state = 'completed'`,
  settle: settle(tables),
  renew: renew(tables),
});

const NAMED = 'j.id, j.source_id as token';

const IS_ATTEMPT = `j.name = $1 and j.id = $2::text::uuid and j.retry_count = $3::int`;

const complete = ({ job }: Tables) =>
  `update ${job} j set state = 'completed', completed_on = now(), heartbeat_on = null, blocked = false`;

const HISTORY = `case jsonb_typeof(j.output->'history') when 'array' then j.output->'history' else '[]' end`;

/**
 * The error of a failure, and the history of failures beside it, the last ones. One that is told again, as the answer was lost, is
 * there already.
 */
const OUTPUT = `case when claim.output is null or j.state <> 'active' then j.output
            else claim.output || jsonb_build_object('history',
              case when jsonb_array_length(${HISTORY}) >= ${MOST_HISTORY} then ${HISTORY} - 0 else ${HISTORY} end
              || jsonb_build_array(jsonb_build_object('at', floor(extract(epoch from now()) * 1000)) || claim.failure)) end`;

// A locked row is being completed by its callback's own transaction, and nobody knows how long that takes.
const settle = ({ job, state }: Tables) => `
      with free as (
        select j.id from ${job} j where ${IS_OURS} and j.state in ('active', 'retry', 'failed') for update skip locked
      ), settled as (
        update ${job} j set
          state = claim.state::${state},
          start_after = case
            when claim.state = 'failed' then j.created_on
            when claim."isUncounted" and claim."postponedMs" is null then j.start_after
            else now() + claim."afterMs" * interval '1 millisecond' end,
          completed_on = case claim.state when 'retry' then null else now() end,
          deletion_seconds = case claim.state when 'failed' then 0 else j.deletion_seconds end,
          output = ${OUTPUT},
          blocked = j.blocked and claim."isUncounted" and claim."postponedMs" is null and j.source_created_on is null,
          retry_delay = j.retry_delay + case when j.state = 'active' then ceil(coalesce(claim."postponedMs", 0) / 1000)::int else 0 end,
          retry_count = j.retry_count - (claim."isUncounted" and j.retry_count > 0)::int,
          started_on = case when not claim."isUncounted" or j.retry_count > 0 then j.started_on end,
          heartbeat_on = null, source_created_on = null
        from free join json_to_recordset($4::text::json) as claim(
          id uuid, state text, "afterMs" float8, output jsonb, failure jsonb, "isUncounted" boolean, "postponedMs" float8) on claim.id = free.id
        where j.name = $1 and j.id = free.id and j.state in ('active', claim.state::${state})
        returning j.name, j.id, j.source_id, j.state, j.start_after
      ), notified as (
        select pg_notify($5, $6 || ' ' || name) from settled where state = 'retry' and start_after <= now() group by name
      )
      select id, source_id as token, false as "isLocked", (select count(*) from notified)::int as notified from settled
      union all
      select ${NAMED}, true, 0 from ${job} j
        where ${IS_OURS} and j.state = 'active' and not exists (select from free where free.id = j.id)`;

const renew = ({ job }: Tables) => `
      with free as (
        select j.name, j.id from ${job} j where ${IS_OURS} and j.state = 'active' for update skip locked
      ), renewed as (
        update ${job} j set heartbeat_on = now() from free where j.name = $1 and j.id = free.id
      )
      select ${NAMED} from ${job} j where ${IS_OURS} and j.state in ('active', 'completed') and ${NEED_NOT_LAST}`;
