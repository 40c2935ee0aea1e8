import type { Tables } from './tables.js';

/** The statements by which the instances that work know each other. `$1` is the instance that asks. */
export interface InstanceStatements {
  /**
   * Says that it lives, and takes or keeps the duty for `$2` milliseconds. Answers whether it has the duty, whether it is known
   * at all, and which instances live, each with a version that changes with what it works on.
   */
  readonly beat: string;
  /** Makes it known, with version `$2`, the queues `$3` that it works on and the moves `$4` that it asks for. */
  readonly join: string;
  /** Which instances live, and what each works on. */
  readonly members: string;
  /** Gives up the duty. */
  readonly leaveDuty: string;
  /** Makes it forgotten, and tells the others on `$2`. */
  readonly leave: string;
  /** Whether there are tables for all this. */
  readonly hasTables: string;
  /** Forgets the instances that have died. */
  readonly forgetDead: string;
}

/** An instance that has not been heard of for so long is not counted on. */
const LIVES = `seen_on > now() - interval '3 seconds'`;

export const instanceStatements = ({ instance, duty }: Tables): InstanceStatements => ({
  beat: `
      with seen as (
        update ${instance} set seen_on = now() where id = $1::uuid returning id
      ), held as (
        update ${duty} set holder = $1::uuid, held_until = now() + $2::float8 * interval '1 millisecond'
        where name = 'deliveries' and (holder = $1::uuid or held_until < now()) returning name
      )
      select exists (select from held) as "isHeld", exists (select from seen) as "isKnown",
        (select string_agg(id || ' ' || version, ',' order by id) from ${instance}
          where ${LIVES} and id <> $1::uuid) as others`,
  join: `
      insert into ${instance} (id, version, queues, moves, seen_on)
      values ($1::uuid, $2::int, $3::text::jsonb, $4::text::jsonb, now())
      on conflict (id) do update set version = excluded.version, queues = excluded.queues, moves = excluded.moves,
        seen_on = now()`,
  members: `select id, queues, moves from ${instance} where ${LIVES} or id = $1::uuid`,
  leaveDuty: `update ${duty} set held_until = '-infinity' where name = 'deliveries' and holder = $1::uuid`,
  leave: `with gone as (delete from ${instance} where id = $1::uuid) select pg_notify($2, '!')`,
  hasTables: `select to_regclass('${instance}') is not null and to_regclass('${duty}') is not null as "hasTables"`,
  forgetDead: `delete from ${instance} where seen_on < now() - interval '1 minute'`,
});
