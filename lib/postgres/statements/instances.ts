import type { Tables } from './tables.js';

/** The statements by which the instances that work know each other. `$1` is the instance that asks. */
export interface InstanceStatements {
  /**
   * Says that it lives. Answers whether it is known at all, which others live, each with a version that changes with what it
   * works on, and whether it has the duty: the one has it that is there for longest. Looks through the queues `$2` then, as
   * `sweep` does, and answers with what is `due`; the claims `$3` are its own.
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
}

/** An instance that has not been heard of for so long is not counted on. Each says once a second that it lives. */
const LIVES = `seen_on > now() - interval '3 seconds'`;
/** Whoever is not heard of for so long has lost the duty. */
const HAS_DUTY = `seen_on > now() - interval '1750 milliseconds'`;

export const instanceStatements = ({ instance }: Tables): Omit<InstanceStatements, 'beat'> => ({
  join: `
      insert into ${instance} (id, version, queues, moves, seen_on)
      values ($1::uuid, $2::int, $3::text::jsonb, $4::text::jsonb, now())
      on conflict (id) do update set version = excluded.version, queues = excluded.queues, moves = excluded.moves,
        seen_on = now()`,
  members: `select id, queues, moves from ${instance} where ${LIVES} or id = $1::uuid`,
  leave: `with gone as (delete from ${instance} where id = $1::uuid) select pg_notify($2, '!')`,
  forgetDead: `delete from ${instance} where seen_on < now() - interval '1 minute'`,
});

/** @param sweep the function that looks through queues */
export const beatStatement = ({ instance }: Tables, sweep: string) => `
      with seen as (
        update ${instance} set seen_on = now() where id = $1 returning id
      ), found as materialized (
        select not exists (select from ${instance} where ${HAS_DUTY} and id < $1) as "hasDuty"
      )
      select exists (select from seen),
        (select string_agg(id || ' ' || version, ',' order by id) from ${instance} where ${LIVES} and id <> $1),
        "hasDuty", case when "hasDuty" then (select jsonb_agg(to_jsonb(due)) from ${sweep}($2, $3, true) as due) end
      from found`;
