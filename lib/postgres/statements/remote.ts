import type { Tables } from './tables.js';

/** The statements by which an application that only stores for a callback is told from the one that has it. */
export interface RemoteStatements {
  /** Marks those of the queues `$1` as remote that nobody has made yet: their own application has not been here. */
  readonly mark: string;
  /** Takes the marks from the queues `$1`, as their own application is here. */
  readonly unmark: string;
}

export const remoteStatements = ({ queue, remote }: Tables): RemoteStatements => ({
  mark: `
      insert into ${remote} (queue)
      select name from unnest($1::text[]) as wanted(name)
      where not exists (select from ${queue} as made where made.name = wanted.name)
      order by name
      on conflict do nothing`,
  unmark: `
      with marked as (select queue from ${remote} where queue = any($1) order by queue for update)
      delete from ${remote} where queue in (select queue from marked)`,
});

/** Names all queues, and says which of them are marked. */
export const markedQueues = ({ queue, remote }: Tables) =>
  `select name, exists (select from ${remote} as marked where marked.queue = one.name) as "isRemote" from ${queue} as one`;
