import { atMost, type EngineHost, messageOf, timers, within } from '../../engine/index.js';
import { type Connection, NotSentError, type QueryResult, ReadOnlyError, wasRefused } from './connection.js';
import { cutOff, endSession } from './end-session.js';
import { Listening } from './listening.js';
import { OWN_PARSERS } from './own-parsers.js';
import type { PgClient, PgPool, PgQuery } from './pg-pool.js';

const { sleep } = timers;

/** How long the end of all sessions may take. */
const GOODBYE_MS = 1_000;
const SHORTEST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 200;
/** How long statements are repeated that may take as long as they want: those of pg-boss itself. */
const REPEATING_MS = 10_000;

/**
 * Whether the database has undone a statement only because of others: it could not be put in order with them, or stood in a
 * deadlock.
 */
const isToBeRepeated = (error: unknown) => /^40(?:001|P01)$/.test(String((error as { code?: unknown } | null)?.code));

/** Reaches a Postgres server through a pool of node-postgres. */
export class ServerConnection implements Connection {
  readonly isEmbedded = false;
  readonly isExclusive = false;
  private readonly closing = new AbortController();
  private readonly hurry = { signal: this.closing.signal, isPoolEnding: () => this.pool.ending === true };
  private closed: Promise<void> | undefined;
  private setsStrings = false;
  /** All that the pool has made since. */
  private readonly clients = new Set<PgClient>();
  /** Those that do a statement, and the statements that they do. */
  private readonly busy = new Map<PgClient, Promise<unknown>>();

  /** @param end ends the pool, if it is the engine's own */
  constructor(
    private readonly pool: PgPool,
    private readonly host: EngineHost,
    private readonly end?: () => Promise<void>,
  ) {
    // Without a listener, a connection that breaks while nobody uses it would end the process. So would one that breaks
    // at the moment in which the pool hands it out.
    pool.on('error', this.onIdleError);
    pool.on('connect', this.listenToErrors);
  }

  readStringsAsStandard(): void {
    this.setsStrings = true;
  }

  /** Refuses nothing: the pool has a session for each statement. */
  requireSession(): void {}

  async query(sql: string, params?: unknown[], timeoutMs?: number): Promise<QueryResult> {
    const deadline = performance.now() + (timeoutMs ?? REPEATING_MS);
    for (let pauseMs = SHORTEST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const leftMs = timeoutMs === undefined ? undefined : Math.max(1, deadline - performance.now());
      try {
        return await this.queryOnce(sql, params, leftMs);
      } catch (error) {
        if (!isToBeRepeated(error) || performance.now() + pauseMs >= deadline) throw error;
      }
      // Those that have met must not meet again.
      await sleep(Math.random() * pauseMs);
    }
  }

  private async queryOnce(sql: string, params?: unknown[], timeoutMs?: number): Promise<QueryResult> {
    const startedAt = performance.now();
    const client = await this.connect(timeoutMs);
    const leftMs = timeoutMs === undefined ? undefined : Math.max(1, timeoutMs - (performance.now() - startedAt));
    return await this.queryOn(client, sql, params, leftMs);
  }

  async listen(
    channel: string,
    onNotification: (payload: string) => void,
    onGap: () => void,
  ): Promise<() => Promise<void>> {
    const connect = (timeoutMs: number) => this.connect(timeoutMs);
    const { isPoolEnding } = this.hurry;
    const listening = new Listening({ channel, connect, isPoolEnding, onNotification, onGap });
    // A pool does not tell that it is to end, but it does away with its clients then.
    const onRemove = () => isPoolEnding() && listening.end();
    this.pool.on('remove', onRemove);
    return async () => {
      this.pool.off('remove', onRemove);
      listening.end();
    };
  }

  close(): Promise<void> {
    return (this.closed ??= this.closeAll());
  }

  private async closeAll(): Promise<void> {
    this.closing.abort();
    await atMost(GOODBYE_MS, Promise.allSettled([this.end?.(), ...this.busy.values()]));
    // A server that does not answer must not keep the process, nor the application's pool.
    for (const client of this.end ? this.clients : this.busy.keys()) cutOff(client);
    // The engine's own pool keeps its listeners: connections may break while they end.
    if (this.end) return;
    this.pool.off('error', this.onIdleError);
    this.pool.off('connect', this.listenToErrors);
  }

  private readonly listenToErrors = (client: PgClient) => {
    this.clients.add(client);
    client.on('error', () => {});
    client.on('end', () => this.clients.delete(client));
  };

  private readonly onIdleError = (error: Error) => this.host.log(`A connection to Postgres broke: ${error.message}`);

  /** @throws NotSentError */
  private async connect(timeoutMs?: number): Promise<PgClient> {
    const connecting = this.pool.connect();
    try {
      return await within(timeoutMs, connecting);
    } catch (cause) {
      // The pool may still hand out a client later. It must get that one back.
      connecting.then(
        (client) => client.release(),
        () => {},
      );
      throw new NotSentError(`no connection: ${messageOf(cause)}`, { cause });
    }
  }

  /** The server reads all of several statements before it does the first, so that none of them may change how. */
  private async withStrings<T>(client: PgClient, work: () => Promise<T>): Promise<T> {
    await client.query('set standard_conforming_strings = on');
    const done = await work();
    await client.query('reset standard_conforming_strings');
    return done;
  }

  private async queryOn(client: PgClient, sql: string, params?: unknown[], timeoutMs?: number): Promise<QueryResult> {
    let isBroken = false;
    const onError = () => (isBroken = true);
    client.on('error', onError);
    const types = typesFor(client);
    const isSeveral = !params?.length;
    const send = (): Promise<QueryResult> => client.query({ text: sql, types }, params);
    const running = isSeveral && this.setsStrings ? this.withStrings(client, send) : send();
    this.busy.set(client, running);
    try {
      return await within(timeoutMs, running);
    } catch (reason) {
      const error = ReadOnlyError.or(reason);
      // Several statements may have failed in the middle of something. One that was refused has left nothing behind.
      isBroken ||= isSeveral || error instanceof ReadOnlyError || !wasRefused(error);
      throw error;
    } finally {
      client.off('error', onError);
      this.busy.delete(client);
      if (isBroken) void endSession(client, running, this.hurry);
      else client.release();
    }
  }
}

/** Reads as the engine does, whatever an application has told this client; other types, of pg-boss', as the client does. */
const typesFor = (client: PgClient): PgQuery['types'] => ({
  getTypeParser: (type, format) =>
    (format !== 'binary' && OWN_PARSERS[type]) || client.getTypeParser?.(type, format) || String,
});
