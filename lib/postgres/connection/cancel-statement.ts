import type { PgClient } from './pg-pool.js';
import { timers } from '../../engine/index.js';

const { clearTimeout, setTimeout } = timers;

/** How long it may take to reach the server. */
const TIMEOUT_MS = 2_000;

/** What a client of node-postgres sends and receives by. */
interface PgSocket {
  connect(port: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: unknown): void;
  once(event: 'connect' | 'sslconnect' | 'end' | 'error', listener: (error?: Error) => void): unknown;
  on(event: 'error', listener: () => void): unknown;
  readonly stream: { destroy(): void };
}

/** What is known of a client of node-postgres that can cancel: it has no public name for that. */
interface Cancellable {
  readonly processID: number;
  readonly secretKey: unknown;
  readonly host: string;
  readonly port: number;
  readonly ssl: unknown;
  readonly sslNegotiation?: string;
  readonly connection: { readonly constructor: new (config: object) => PgSocket };
}

const isCancellable = (client: object): client is Cancellable =>
  typeof (client as Partial<Cancellable>).processID === 'number' &&
  typeof (client as Partial<Cancellable>).connection === 'object';

/**
 * Asks the server to cancel what a session is doing, by a connection of its own, which is no session.
 *
 * @returns whether the server was reached. A client that cannot be cancelled counts as reached: nobody knows
 */
export function cancelStatement(client: PgClient): Promise<boolean> {
  if (!isCancellable(client)) return Promise.resolve(true);
  const { processID, secretKey, host, port, ssl, sslNegotiation, connection } = client;
  return new Promise<boolean>((resolve) => {
    const socket = new connection.constructor({ ssl, sslNegotiation });
    const timer = setTimeout(() => end(false), TIMEOUT_MS).unref();
    const end = (isReached: boolean) => {
      clearTimeout(timer);
      socket.stream.destroy();
      resolve(isReached);
    };
    const cancel = () => socket.cancel(processID, secretKey);
    socket.on('error', () => end(false));
    // The server answers nothing, and ends the connection when it has passed it on.
    socket.once('end', () => end(true));
    socket.once('sslconnect', cancel);
    socket.once('connect', () => {
      if (!ssl) cancel();
      else if (sslNegotiation !== 'direct') socket.requestSsl();
    });
    if (host.startsWith('/')) socket.connect(`${host}/.s.PGSQL.${port}`);
    else socket.connect(port, host);
    // A client of another kind may be something else inside.
  }).catch(() => false);
}
