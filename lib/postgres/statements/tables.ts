/** The names of the tables, in one schema, that hold deliveries, and the instances that perform them. */
export interface Tables {
  /** pg-boss' own, as the three after it. Its part that holds the jobs of all queues but those that have a table of their own. */
  readonly job: string;
  readonly queue: string;
  /** The type of a job's state. */
  readonly state: string;
  /** The instances that work, with the queues that each works on. */
  readonly instance: string;
  /** The queues that only applications have made that do not perform what lies there. */
  readonly remote: string;
  /** The queues whose callbacks are paused. */
  readonly paused: string;
  /** The callbacks that have limits over all instances, with what their rates have let begin lately. */
  readonly limit: string;
}

/** Names the tables of a schema. */
export const tablesIn = (schema: string): Tables => ({
  job: `${schema}.job_common`,
  queue: `${schema}.queue`,
  state: `${schema}.job_state`,
  instance: `${schema}.events_instance`,
  remote: `${schema}.events_remote`,
  paused: `${schema}.events_paused`,
  limit: `${schema}.events_limit`,
});
