import { isMarkedWith, saysYesIf } from '../caller-transactions.js';
import type { Tables } from './tables.js';

/**
 * The statements that store deliveries. Each is given them as JSON in `$1`. It gives each its place in `created_on`: by the
 * clock, and a microsecond after the one before it; or when the engine says that it is stored.
 */
export interface StoreStatements {
  /**
   * Stores deliveries, all or none, as a statement of its own. Completed ones will be remembered for `$2` seconds, and claims
   * last for `$3`. Notifies on `$4`, once for each queue that has something due, whom the deliveries name. Fails if a queue is
   * missing.
   */
  readonly store: string;
  /** Does the same, and notifies nobody. */
  readonly storeUntold: string;
  /**
   * Does the same where some queues keep the order of keys, and notifies on `$2`. It locks those keys until it is through. With `try` in `$3`, it
   * stores nothing if a key is locked, and says so; otherwise it waits for at most so many milliseconds as `$4` says, and fails.
   */
  readonly storeInOrder: string;
  /**
   * Stores in a caller's transaction, which was marked with `$3`, and notifies on `$2`. A missing queue would make the commit fail, so this stores
   * nothing then, and answers with the queue's name.
   */
  readonly storeInTransaction: string;
  /** Does the same where some queues keep the order of keys. It locks those keys until the commit. */
  readonly storeInOrderInTransaction: string;
}

export interface StoreOptions {
  /** How long a claim lasts that is not renewed. */
  readonly leaseSeconds: number;
  /** How long a completed delivery is remembered: in that time, its id is not stored again. */
  readonly keepCompletedSeconds: number;
}

// Planning takes longer than doing: each statement knows no more than it must.
export function storeStatements(tables: Tables, { keepCompletedSeconds, leaseSeconds }: StoreOptions): StoreStatements {
  const durations = { keep: `${keepCompletedSeconds}`, lease: `${leaseSeconds}` };
  return {
    ...unorderedStatements(tables),
    storeInOrder: storeInOrder(tables, durations),
    storeInTransaction: storeInTransaction(tables, durations),
    storeInOrderInTransaction: storeInOrderInTransaction(tables, durations),
  };
}

const INPUT = `rows from (
        json_to_recordset($1::text::json) as (name text, id uuid, key text, "delayMs" float8, data jsonb, call text, "storedAt" bigint, "group" text)
      ) with ordinality as input(name, id, key, "delayMs", data, call, "storedAt", "group", place)`;

const COLUMNS = `
      id, name, data, singleton_key, group_id, start_after, keep_until, retry_limit, expire_seconds, deletion_seconds,
      heartbeat_seconds, policy, created_on`;

/** How long, in seconds, as SQL. */
interface Durations {
  /** A completed delivery is remembered. */
  readonly keep: string;
  /** A claim lasts that is not renewed. */
  readonly lease: string;
}

/** All columns but the last two, which the statements fill in differently. */
const values = ({ keep, lease }: Durations) => `
      id, input.name, data, key, "group", now() + "delayMs" * interval '1 millisecond', now() + interval '1000 years',
      1000000000, 2000000000, ${keep}, ${lease}`;

const AFTER_THOSE_BEFORE = `place * interval '1 microsecond'`;

/** By the clock, unless the engine says it. */
const storedAt = (clock: string) =>
  `coalesce(timestamptz 'epoch' + "storedAt" * interval '1 microsecond', ${clock} + ${AFTER_THOSE_BEFORE})`;

const IS_MARKED = isMarkedWith('$3');

const notified = (channel: string) => `
        select pg_notify(${channel}, called.call || ' ' || stored.name)
        from stored join (select name, min(call) as call from input group by name) as called on called.name = stored.name
        where called.call is not null and start_after <= now() group by stored.name, called.call`;

const missingIn = (queue: string) =>
  `select name from input where not exists (select from ${queue} q where q.name = input.name)`;

const stored = ({ job }: Tables) => `
        insert into ${job} (${COLUMNS})
        select ${values({ keep: '$2::int', lease: '$3::int' })}, 'standard', ${storedAt('statement_timestamp()')} from input
        on conflict do nothing returning name, start_after`;

/** The statements that store on their own, and have nothing to do with the order of keys. */
export const unorderedStatements = (tables: Tables): Pick<StoreStatements, 'store' | 'storeUntold'> => ({
  store: `
      with input as (select * from ${INPUT}), stored as (${stored(tables)}), notified as (${notified('$4')})
      select count(*)::int as notified from notified`,
  storeUntold: `
      with input as (select * from ${INPUT}), stored as (${stored(tables)})
      select count(*)::int as stored from stored`,
});

function storeInTransaction({ job, queue }: Tables, durations: Durations): string {
  const missing = missingIn(queue);
  return `
      with input as (select * from ${INPUT}), stored as (
        insert into ${job} (${COLUMNS})
        select ${values(durations)}, 'standard', ${storedAt('statement_timestamp()')} from input
        where not exists (${missing}) and ${IS_MARKED}
        on conflict do nothing returning name, start_after
      ), notified as (${notified('$2')})
      select (${missing} limit 1) as missing, ${saysYesIf(IS_MARKED)} as "isOpen", (select count(*) from notified)::int as notified`;
}

const storeInOrderInTransaction = (tables: Tables, durations: Durations) => `${inOrder(tables, durations, {
  locked: `select pg_advisory_xact_lock(lock) is not null as "isLocked" from locks`,
  condition: IS_MARKED,
})}
      select (${missingIn(tables.queue)} limit 1) as missing, ${saysYesIf(IS_MARKED)} as "isOpen",
        (select count(*) from notified)::int as notified`;

// The limit is set, for this statement only, before the lock is asked for: both come from one row.
const storeInOrder = (tables: Tables, durations: Durations) => `${inOrder(tables, durations, {
  locked: `
          select case $3::text when 'try' then pg_try_advisory_xact_lock(lock)
            else pg_advisory_xact_lock(lock) is not null end as "isLocked"
          from (select set_config('lock_timeout', $4::text, true) as ms) as limited, locks where ms <> ''`,
  condition: 'true',
})}
      select (${missingIn(tables.queue)} limit 1) as missing, not (select "isHeld" from held) as "isBusy",
        (select count(*) from notified)::int as notified`;

/**
 * Begins a statement that stores in order.
 *
 * @param given.locked selects for each of `locks` whether it was had
 * @param given.condition whether to store anything
 */
function inOrder(
  { job, queue }: Tables,
  durations: Durations,
  { locked, condition }: { locked: string; condition: string },
): string {
  return `
      with input as (select * from ${INPUT}), locks as (
        select distinct hashtextextended(input.name || ' ' || key, 0) as lock
        from input join ${queue} q on q.name = input.name and q.policy = 'key_strict_fifo' order by lock
      ), locked as materialized (${locked}), held as materialized (
        select coalesce(bool_and("isLocked"), true) as "isHeld" from locked
      ), clock as materialized (
        select clock_timestamp() as at from held where "isHeld"
      ), stored as (
        insert into ${job} (${COLUMNS})
        select ${values(durations)}, q.policy, case when q.policy = 'key_strict_fifo' then greatest(${storedAt('at')}, (
            select max(before.created_on) from ${job} as before
            where before.name = input.name and before.singleton_key = key and before.state < 'active'
          ) + ${AFTER_THOSE_BEFORE}) else ${storedAt('at')} end
        from clock, input join ${queue} q on q.name = input.name
        where not exists (${missingIn(queue)}) and ${condition}
        on conflict (name, id) do nothing returning name, start_after
      ), notified as (${notified('$2')})`;
}
