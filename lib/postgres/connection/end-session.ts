import { atMost, timers } from '../../engine/index.js';
import { cancelStatement } from './cancel-statement.js';
import type { PgClient } from './pg-pool.js';

const { sleep } = timers;

/** How long it is until a statement is cancelled again that goes on. It may not have arrived yet when it was cancelled. */
const PAUSE_MS = 1_000;
/** How long a session counts that does not heed that, on a server that can be reached, while its connection is alive. */
const LONGEST_HOLD_MS = 30_000;
/** How soon the system begins to ask whether a connection is alive. If it is dead, that is known some ten seconds later. */
const SIGN_OF_LIFE_MS = 1_000;
/** How long the end of a session may take. */
const GOODBYE_MS = 1_000;

/** What a client of node-postgres has inside. */
interface WithSocket {
  readonly connection?: {
    readonly stream?: { setKeepAlive?(isKept: boolean, afterMs: number): unknown; destroy?(): unknown };
  };
}

/** Breaks a connection off, whatever the server says. */
export const cutOff = (client: PgClient) => (client as WithSocket).connection?.stream?.destroy?.();

/**
 * Ends the session of a client, and gives that back to its pool only then: the pool opens another in its place. A server goes on with
 * a statement whose client has gone away, so that sessions would pile up on one that hangs: what it is doing is cancelled first.
 *
 * @param running the statement that it may be doing
 * @param hurry aborts when nobody may wait for it any longer
 */
export async function endSession(client: PgClient, running: Promise<unknown>, hurry: AbortSignal): Promise<void> {
  (client as WithSocket).connection?.stream?.setKeepAlive?.(true, SIGN_OF_LIFE_MS);
  let isThrough = false;
  const through = running.then(
    () => (isThrough = true),
    () => (isThrough = true),
  );
  for (const until = performance.now() + LONGEST_HOLD_MS; performance.now() < until && !hurry.aborted;) {
    await Promise.resolve();
    if (isThrough) break;
    const isReached = await cancelStatement(client);
    await Promise.race([through, sleep(PAUSE_MS, undefined, { ref: false, signal: hurry }).catch(() => {})]);
    if (!isReached) break;
  }
  if (!hurry.aborted && client.end)
    await atMost(
      GOODBYE_MS,
      client.end().catch(() => {}),
    );
  client.release(true);
}
