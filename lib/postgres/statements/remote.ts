import type { Tables } from './tables.js';

/** The statements by which an application that only stores for a callback is told from the one that has it. */
export interface RemoteStatements {
  /** Marks those of the queues `$1` as remote that nobody has made yet: their own application has not been here. */
  readonly mark: string;
  /** Takes the marks from the queues `$1`, as their own application is here. */
  readonly unmark: string;
  /** Names all queues, and says which are remote: those that are marked, and that no instance works on. */
  readonly queues: string;
}

export const remoteStatements = ({ queue, remote, instance }: Tables): RemoteStatements => ({
  mark: `
      insert into ${remote} (queue)
      select name from unnest($1::text[]) as wanted(name)
      where not exists (select from ${queue} as made where made.name = wanted.name)
      order by name
      on conflict do nothing`,
  unmark: `
      with marked as (select queue from ${remote} where queue = any($1) order by queue for update)
      delete from ${remote} where queue in (select queue from marked)`,
  // An instance of an older version takes no marks away.
  queues: `
      select name, exists (select from ${remote} as marked where marked.queue = one.name)
        and not exists (select from ${instance} where jsonb_exists(queues, one.name)) as "isRemote"
      from ${queue} as one`,
});

/** Whether this role may use the marks. */
export const mayMark = ({ remote }: Tables) =>
  ['select', 'insert', 'update', 'delete']
    .map((right) => `coalesce(has_table_privilege(to_regclass('${remote}'), '${right}'), false)`)
    .join(' and ');
