/** The names of the tables, in one schema, that hold deliveries, and what instances need to agree. */
export interface Tables {
  /** pg-boss' own, as the three after it. Its part that holds the jobs of all queues but those that have a table of their own. */
  readonly job: string;
  readonly queue: string;
  /** The type of a job's state. */
  readonly state: string;
  /** The instances that work, with the queues that each works on. */
  readonly instance: string;
  /** Which instance does what one is enough for. */
  readonly duty: string;
}

/** Names the tables of a schema. */
export const tablesIn = (schema: string): Tables => ({
  job: `${schema}.job_common`,
  queue: `${schema}.queue`,
  state: `${schema}.job_state`,
  instance: `${schema}.events_instance`,
  duty: `${schema}.events_duty`,
});

/**
 * The SQL that makes our own tables beside those of pg-boss. Running it again, also at the same moment, changes nothing.
 */
export const ownTables = (schema: string): string => {
  const { instance, duty } = tablesIn(schema);
  return `
select pg_advisory_xact_lock(hashtextextended('nestjs-callbacks ${schema}', 0));
create table if not exists ${instance} (
  id uuid primary key,
  version int not null,
  queues jsonb not null,
  moves jsonb not null,
  seen_on timestamp with time zone not null
);
create table if not exists ${duty} (
  name text primary key,
  holder uuid,
  held_until timestamp with time zone not null
);
insert into ${duty} (name, held_until) values ('deliveries', '-infinity') on conflict do nothing;
`;
};
