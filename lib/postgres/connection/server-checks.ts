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

/** Refuses a server that takes no writes, and has the connection make up for settings that would change what statements mean. */
export async function checkServer(connection: Connection): Promise<void> {
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
}
