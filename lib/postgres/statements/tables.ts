/** The names that pg-boss gives, in one schema, to what it keeps deliveries in. */
export interface Tables {
  readonly job: string;
  readonly queue: string;
  /** The type of a job's state. */
  readonly state: string;
}

/** Names the tables of a schema. */
export const tablesIn = (schema: string): Tables => ({
  job: `${schema}.job`,
  queue: `${schema}.queue`,
  state: `${schema}.job_state`,
});
