import { adoptStatement } from './adopt.js';
import { type AttemptStatements, attemptStatements } from './attempts.js';
import { type ClaimStatements, claimStatements } from './claim.js';
import { type KeptStatements, keptStatements } from './kept.js';
import { type StoreOptions, type StoreStatements, storeStatements } from './store.js';
import { type SweepStatements, sweepStatements } from './sweep.js';
import { tablesIn } from './tables.js';

/**
 * The SQL for what pg-boss' own functions do not do: several queues in one statement, delays in milliseconds, the order
 * of a key, and what is due. It works on pg-boss' tables, which its documentation offers for that. All times are the
 * database's, never ours.
 *
 * A delivery is a job: `name` is its address, `singleton_key` its key, `data` holds `{ event, key, arguments }`. The
 * states `created` and `retry` mean waiting, `active` means running, `failed` means dead. `retry_count` grows with each
 * claim, and so tells attempts apart; `retry_delay` is how long, in seconds, it was postponed in all; `data.uncounted` says how many of them do not count.
 */
export interface Statements
  extends StoreStatements, ClaimStatements, AttemptStatements, SweepStatements, KeptStatements {
  /** Moves what waits or is dead to other queues, as `$1` says; `$2` are the queues that it leaves. */
  readonly adopt: string;
}

/**
 * Writes the statements for one schema. They need nothing in it that is ours but, if they heed them, the pauses.
 */
export function statementsFor(schema: string, options: StoreOptions, heedsPauses: boolean): Statements {
  const tables = tablesIn(schema);
  return {
    ...storeStatements(tables, options),
    ...claimStatements(tables, heedsPauses),
    ...attemptStatements(tables),
    ...sweepStatements(tables, heedsPauses),
    ...keptStatements(tables, options.keepCompletedSeconds),
    adopt: adoptStatement(tables),
  };
}
