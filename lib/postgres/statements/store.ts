import { isMarkedWith } from '../caller-transactions.js';
import type { Tables } from './tables.js';

/** The statements that store deliveries. Each is given them as JSON in `$1`, and the channel to notify on in `$2`. */
export interface StoreStatements {
  /**
   * Stores deliveries, all or none, as a statement of its own. Notifies once for each queue that has something due. Fails
   * if a queue is missing.
   */
  readonly store: string;
  /**
   * Does the same in a caller's transaction, which was marked with `$3`. A missing queue would make the commit fail, so
   * this stores nothing then, and answers with the queue's name.
   */
  readonly storeInTransaction: string;
  /**
   * Does the same, with or without a transaction, where some queues keep the order of keys. It locks those keys until the
   * commit.
   */
  readonly storeInOrder: string;
}

export interface StoreOptions {
  /** How long a claim lasts that is not renewed. */
  readonly leaseSeconds: number;
  /** How long a completed delivery is remembered: in that time, its id is not stored again. */
  readonly keepCompletedSeconds: number;
}

// Planning takes longer than doing: each statement knows no more than it must.
export const storeStatements = (tables: Tables, options: StoreOptions): StoreStatements => ({
  store: store(tables, options),
  storeInTransaction: storeInTransaction(tables, options),
  storeInOrder: storeInOrder(tables, options),
});

const INPUT = `json_to_recordset($1::text::json) as input(name text, id uuid, key text, "delayMs" float8, data jsonb, call text)`;

const COLUMNS = `
      id, name, data, singleton_key, start_after, keep_until, retry_limit, expire_seconds, deletion_seconds,
      heartbeat_seconds, policy, created_on`;

/** All columns but the last two, which the statements fill in differently. */
const values = ({ leaseSeconds, keepCompletedSeconds }: StoreOptions) => `
      id, input.name, data, key, now() + "delayMs" * interval '1 millisecond', now() + interval '1000 years',
      1000000000, 2000000000, ${keepCompletedSeconds}, ${leaseSeconds}`;

const IS_MARKED = isMarkedWith('$3');

const NOTIFIED = `
        select pg_notify($2, called.call || ' ' || stored.name)
        from stored join (select name, min(call) as call from ${INPUT} group by name) as called on called.name = stored.name
        where called.call is not null and start_after <= now() group by stored.name, called.call`;

const missingIn = (queue: string) =>
  `select name from input where not exists (select from ${queue} q where q.name = input.name)`;

const store = ({ job }: Tables, options: StoreOptions) => `
      with stored as (
        insert into ${job} (${COLUMNS}) select ${values(options)}, 'standard', now() from ${INPUT}
        on conflict do nothing returning name, start_after
      )
      ${NOTIFIED}`;

function storeInTransaction({ job, queue }: Tables, options: StoreOptions): string {
  const missing = missingIn(queue);
  return `
      with input as (select * from ${INPUT}), stored as (
        insert into ${job} (${COLUMNS}) select ${values(options)}, 'standard', now() from input
        where not exists (${missing}) and ${IS_MARKED}
        on conflict do nothing returning name, start_after
      ), notified as (${NOTIFIED})
      select (${missing} limit 1) as missing, ${IS_MARKED} as "isOpen", (select count(*) from notified)::int as notified`;
}

function storeInOrder({ job, queue }: Tables, options: StoreOptions): string {
  const missing = missingIn(queue);
  return `
      with input as (select * from ${INPUT}), locked as materialized (
        select pg_advisory_xact_lock(lock) from (
          select distinct hashtextextended(input.name || ' ' || key, 0) as lock
          from input join ${queue} q on q.name = input.name and q.policy = 'key_strict_fifo' order by lock
        ) as locks
      ), stored as (
        insert into ${job} (${COLUMNS})
        select ${values(options)}, q.policy, case when q.policy = 'key_strict_fifo' then greatest(clock_timestamp(), (
            select max(before.created_on) + interval '1 microsecond' from ${job} as before
            where before.name = input.name and before.singleton_key = key and before.state < 'active'
          )) else now() end
        from input join ${queue} q on q.name = input.name
        where not exists (${missing}) and ${IS_MARKED} and (select count(*) from locked) >= 0
        on conflict (name, id) do nothing returning name, start_after
      ), notified as (${NOTIFIED})
      select (${missing} limit 1) as missing, ${IS_MARKED} as "isOpen", (select count(*) from notified)::int as notified`;
}
