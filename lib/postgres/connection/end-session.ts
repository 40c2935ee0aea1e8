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

/** Says when nobody may wait any longer for the end of a session. */
export interface Hurry {
  /** Aborts when the engine gives up its connections. */
  readonly signal: AbortSignal;
  /** Whether somebody waits for the pool to end, which waits for its clients. */
  isPoolEnding(): boolean;
}

/**
 * Ends the session of a client, and gives that back to its pool only then: the pool opens another in its place. A server goes on with
 * a statement whose client has gone away, so that sessions would pile up on one that hangs: what it is doing is cancelled first.
 *
 * @param running the statement that it may be doing
 */
export async function endSession(client: PgClient, running: Promise<unknown>, hurry: Hurry): Promise<void> {
  // Its connection may break while nobody else listens, and that would end the process.
  client.on('error', () => {});
  try {
    await cancelUntilThrough(client, running, hurry);
    if (!hurry.signal.aborted && client.end) await atMost(GOODBYE_MS, client.end());
  } finally {
    client.release(true);
  }
}

async function cancelUntilThrough(client: PgClient, running: Promise<unknown>, hurry: Hurry): Promise<void> {
  (client as WithSocket).connection?.stream?.setKeepAlive?.(true, SIGN_OF_LIFE_MS);
  let isThrough = false;
  const through = running.then(
    () => (isThrough = true),
    () => (isThrough = true),
  );
  const isOver = () => hurry.signal.aborted || hurry.isPoolEnding();
  for (const until = performance.now() + LONGEST_HOLD_MS; performance.now() < until && !isOver();) {
    await Promise.resolve();
    if (isThrough) return;
    const isReached = await cancelStatement(client);
    const pause = sleep(PAUSE_MS, undefined, { ref: false, signal: hurry.signal }).catch(() => {});
    await Promise.race([through, pause]);
    if (!isReached) return;
  }
}
