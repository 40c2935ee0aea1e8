import { assignGroups, groupIndex } from './groups.js';
import type { Tables } from './tables.js';

/** The statements that callbacks with limits need. */
export interface LimitStatements {
  /** Claims within limits. */
  readonly claim: string;
  /** Says of some of what waits in queue `$1` and has no group what its group is: see {@link assignGroups}. */
  readonly assignGroups: string;
  /** Makes the index on groups, beside all other work. It must be alone, and in no transaction. */
  readonly makeIndex: string;
  /** The same where nobody else works, as in an embedded database. */
  readonly makeIndexAlone: string;
  /** Removes what is left of an index whose making was broken off. It must be alone, and in no transaction. */
  readonly dropIndex: string;
  /** Answers with `isThere`, `isValid`, and `isBeingMade`: somebody makes it at this moment. */
  readonly findIndex: string;
}

export function limitStatements(tables: Tables, claim: string): LimitStatements {
  const index = groupIndex(tables);
  return {
    claim,
    assignGroups: assignGroups(tables),
    makeIndex: index.sql(true),
    makeIndexAlone: index.sql(false),
    dropIndex: `drop index concurrently if exists ${index.name}`,
    findIndex: `
      select to_regclass('${index.name}') is not null as "isThere",
        coalesce((select indisvalid from pg_index where indexrelid = to_regclass('${index.name}')), false) as "isValid",
        exists (
          select from pg_stat_progress_create_index
          where datname = current_database() and (relid is null or relid = to_regclass('${tables.job}'))
        ) as "isBeingMade"`,
  };
}

/** Whether this role may use the limits. */
export const mayLimit = ({ limit }: Tables) =>
  ['select', 'insert', 'update']
    .map((right) => `coalesce(has_table_privilege(to_regclass('${limit}'), '${right}'), false)`)
    .join(' and ');
