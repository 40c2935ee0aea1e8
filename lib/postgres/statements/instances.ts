import { NEED_NOT_LAST } from './need-not-last.js';
import type { Tables } from './tables.js';

/** The statements by which the instances that work know each other. `$1` is the instance that asks. */
export interface InstanceStatements {
  /**
   * Says that it lives. Answers whether it is known at all, which others live, each with a version that changes with what it
   * works on, whether it has the duty (the one has it that is there for longest), and when to ask again. Looks through the queues
   * `$2` if it has the duty, as `sweep` does, and answers with what is `due`; the claims `$3` are its own. It is to ask again when the
   * next claim runs out, so that what a dead instance had is found at once.
   */
  readonly beat: string;
  /** Makes it known, with version `$2`, the queues `$3` that it works on and the moves `$4` that it asks for. */
  readonly join: string;
  /** Which instances live, and what each works on. */
  readonly members: string;
  /** Makes it forgotten, and tells the others on `$2`. */
  readonly leave: string;
  /** Forgets the instances that have died. */
  readonly forgetDead: string;
  /** Forgets all instances, so that the next one has the duty at once. Takes no parameters. */
  readonly forgetAll: string;
}

/** How often the instance that has the duty says that it lives, and how often the others do that are not next in line. */
const EVERY_MS = { first: 2_400, others: 4_000 };
/** An instance that has not been heard of for so long is not counted on. */
const COUNTED_MS = 6_000;
/** Whoever is not heard of for so long has lost the duty. */
const DUTY_MS = 2_850;
/** The next in line asks so long after the duty may have been lost. */
const MARGIN_MS = 20;
/** Claims that run out so soon after each other are taken back together. */
const TOGETHER_MS = 100;

const seenWithin = (ms: number) => `seen_on > now() - interval '${ms} milliseconds'`;
const LIVES = seenWithin(COUNTED_MS);

export const instanceStatements = ({ instance }: Tables): Omit<InstanceStatements, 'beat'> => ({
  join: `
      insert into ${instance} (id, version, queues, moves, seen_on)
      values ($1::uuid, $2::int, $3::text::jsonb, $4::text::jsonb, now())
      on conflict (id) do update set version = excluded.version, queues = excluded.queues, moves = excluded.moves,
        seen_on = now()`,
  members: `select id, queues, moves from ${instance} where ${LIVES} or id = $1::uuid`,
  leave: `with gone as (delete from ${instance} where id = $1::uuid) select pg_notify($2, '!')`,
  forgetDead: `delete from ${instance} where seen_on < now() - interval '1 minute'`,
  forgetAll: `delete from ${instance}`,
});

/** @param sweep the function that looks through queues */
export const beatStatement = ({ instance }: Tables, sweep: string) => `
      with seen as (
        update ${instance} set seen_on = now() where id = $1 returning id
      ), ahead as (
        select count(*) as number, extract(epoch from now() - max(seen_on)) * 1000 as unseen_ms,
          coalesce(bool_or(${seenWithin(DUTY_MS)}), false) as have_duty
        from ${instance} where ${LIVES} and id < $1
      ), found as materialized (
        select not have_duty as "hasDuty", (case
          when not have_duty then ${EVERY_MS.first}
          when number = 1 then ${DUTY_MS + MARGIN_MS} - unseen_ms
          else ${EVERY_MS.others} end)::int as "askInMs"
        from ahead
      ), swept as materialized (
        select "hasDuty", "askInMs", case when "hasDuty" then (
          select coalesce(jsonb_agg(to_jsonb(due)), '[]') from ${sweep}($2, $3, true) as due
          where "isDue" or "isSuspected" or "dueInMs" is not null or "expiresInMs" is not null
        ) end as due
        from found
      )
      select exists (select from seen),
        (select string_agg(id || ' ' || version, ',' order by id) from ${instance} where ${LIVES} and id <> $1),
        "hasDuty", least("askInMs", (
          select min("expiresInMs") + ${TOGETHER_MS} from jsonb_to_recordset(due) as one("expiresInMs" float8)
        ))::int, due
      from swept where ${NEED_NOT_LAST}`;
