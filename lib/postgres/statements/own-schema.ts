import { claimStatements } from './claim.js';
import { functionFor, type Signature } from './functions.js';
import { groupIndex } from './groups.js';
import { limitedClaim } from './limited.js';
import { type LimitStatements, limitStatements, mayLimit } from './limits.js';
import { beatStatement, type InstanceStatements, instanceStatements } from './instances.js';
import { mayMark, remoteStatements, type RemoteStatements } from './remote.js';
import { mayPause, maySeePauses, type PauseStatements, pauseStatements } from './pauses.js';
import type { Statements } from './statements.js';
import { unorderedStatements } from './store.js';
import { sweepStatements } from './sweep.js';
import { type Tables, tablesIn } from './tables.js';

/** What is ours in a schema, beside pg-boss' tables: four tables, and functions. */
export interface OwnSchema {
  /** Makes it. Running it again, also at the same moment, changes nothing. */
  readonly sql: string;
  /** The index that only callbacks with limits of groups need, for who makes the schema beforehand. */
  readonly groupIndex: string;
  /**
   * Answers with `isThere`, `hasMarks`, `hasLimits`, `seesPauses` and `mayPause`: whether this role may use the instances and
   * functions, the marks, and the limits, see what is paused, and pause.
   */
  readonly isThere: string;
  /** The statements that need it. */
  readonly instances: InstanceStatements;
  /** The same of marks on queues. */
  readonly marks: RemoteStatements;
  /** The same of pauses. */
  readonly pauses: PauseStatements;
  /** The same of limits over all instances. */
  readonly limits: LimitStatements;
  /** The statements that cost less with it. */
  readonly cheaper: Partial<Statements>;
}

const CLAIMED = 'id uuid, "retryCount" int, spared int, "postponedMs" float8, data jsonb';

/** The statements that are kept as functions: those that run often, and take long to plan. */
const FUNCTIONS = {
  store: { takes: 'text, int, int, text', returns: 'notified int' },
  storeUntold: { takes: 'text, int, int', returns: 'stored int' },
  claim: { takes: 'text, int, uuid, int', returns: CLAIMED },
  claimInOrder: {
    takes: 'text, int, uuid, int, text[], text, boolean',
    returns: `${CLAIMED}, "lastKey" text, "isEnd" boolean, "isFull" boolean`,
  },
  claimSuspect: { takes: 'text, int, uuid, int, boolean', returns: CLAIMED },
  sweep: {
    takes: 'text[], text[], boolean',
    returns: 'name text, "isDue" boolean, "isSuspected" boolean, "dueInMs" float8, "expiresInMs" float8',
  },
} satisfies Partial<Record<keyof Statements, Signature>>;

const BEAT: Signature = {
  takes: 'uuid, text[], text[]',
  returns: '"isKnown" boolean, others text, "hasDuty" boolean, "askInMs" int, due jsonb',
};

/** Says what is ours in a schema. */
export function ownSchema(schema: string): OwnSchema {
  const tables = tablesIn(schema);
  const statements = {
    ...unorderedStatements(tables),
    ...claimStatements(tables, true),
    ...sweepStatements(tables, true),
  };
  const names = Object.keys(FUNCTIONS) as (keyof typeof FUNCTIONS)[];
  const cheaper = names.map((name) => functionFor(schema, name, statements[name], FUNCTIONS[name]));
  const sweep = cheaper[names.indexOf('sweep')].name;
  const beat = functionFor(schema, 'beat', beatStatement(tables, sweep), BEAT);
  const [claim, claimInOrder, claimSuspect] = (['claim', 'claimInOrder', 'claimSuspect'] as const).map(
    (name) => cheaper[names.indexOf(name)],
  );
  const limited = limitedClaim(schema, tables, { claim, claimInOrder, claimSuspect });
  const functions = [...cheaper, beat, limited];
  const mayCall = functions.map(
    ({ signature }) => `has_function_privilege(to_regprocedure('${signature}'), 'execute')`,
  );
  return {
    sql: `
select pg_advisory_xact_lock(hashtextextended('nestjs-callbacks ${schema}', 0));
${ownTables(tables)}${functions.map(({ sql }) => sql).join('')}`,
    groupIndex: `${groupIndex(tables).sql(false)};\n`,
    isThere: `select to_regclass('${tables.instance}') is not null and coalesce(${mayCall.join(' and ')}, false)
        and ${maySeePauses(tables)} as "isThere",
      ${mayMark(tables)} as "hasMarks", ${mayLimit(tables)} as "hasLimits", ${maySeePauses(tables)} as "seesPauses",
      ${mayPause(tables)} as "mayPause"`,
    instances: { ...instanceStatements(tables), beat: beat.call },
    marks: remoteStatements(tables),
    pauses: pauseStatements(tables),
    limits: limitStatements(tables, limited.call),
    cheaper: Object.fromEntries(names.map((name, index) => [name, cheaper[index].call])),
  };
}

const ownTables = ({ instance, remote, paused, limit }: Tables) => `
create table if not exists ${instance} (
  id uuid primary key,
  version int not null,
  queues jsonb not null,
  moves jsonb not null,
  seen_on timestamp with time zone not null
);
create table if not exists ${remote} (queue text primary key);
create table if not exists ${paused} (queue text primary key, since timestamp with time zone not null);
create table if not exists ${limit} (
  name text primary key,
  untils bigint[] not null default '{}',
  counts int[] not null default '{}',
  last_at bigint,
  last_group text
) with (fillfactor = 50);
`;
