import type { Connection } from './connection.js';

/** What a server answers of itself, as text. */
interface Server {
  readonly isStandby: string;
  readonly isReadOnly: string;
  readonly strings: string;
}

const ASK = `
  select pg_is_in_recovery()::text as "isStandby", current_setting('transaction_read_only') as "isReadOnly",
    current_setting('standard_conforming_strings') as strings`;

const TIMEOUT_MS = 30_000;

/**
 * Refuses a server that takes no writes, and a schema that is another application's; and has the connection make up for a
 * setting that would change what statements mean.
 */
export async function checkServer(connection: Connection, schema: string): Promise<void> {
  const { rows } = await connection.query(ASK, [], TIMEOUT_MS);
  const { isStandby, isReadOnly, strings } = rows[0] as Server;
  if (isStandby === 'true') {
    throw new Error('this server is a standby, a read replica, and takes no writes. Name the primary server.');
  }
  if (isReadOnly === 'on') {
    throw new Error(
      'this server lets this role write nothing (default_transaction_read_only is on). Name the primary server, or alter the role or the database.',
    );
  }
  if (strings === 'off') connection.readStringsAsStandard?.();
  await requireOwnSchema(connection, schema);
}

/** A column that each of pg-boss' tables has, and hardly another's. */
const OF_BOSS = { version: 'version', queue: 'policy', job: 'singleton_key' };

async function requireOwnSchema(connection: Connection, schema: string): Promise<void> {
  // Not from the information schema, which shows a role only what it may use.
  const ask = `select c.relname::text as name, string_agg(a.attname::text, ' ') as columns
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    where n.nspname = $1 and c.relname = any($2) and c.relkind in ('r', 'p') group by c.relname`;
  const { rows } = await connection.query(ask, [schema, Object.keys(OF_BOSS)], TIMEOUT_MS);
  const found = rows as { name: keyof typeof OF_BOSS; columns: string }[];
  const isBoss = ({ name, columns }: (typeof found)[number]) => columns.split(' ').includes(OF_BOSS[name]);
  const other = found.find((table) => !isBoss(table));
  if (!other) return;
  throw new Error(
    `the schema "${schema}" is somebody else's: its table "${other.name}" is none of pg-boss. Give deliveries a schema of their own: postgres({ schema: … }).`,
  );
}
