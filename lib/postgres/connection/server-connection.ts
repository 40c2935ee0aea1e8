import { type EngineHost, messageOf, timers, within } from '../../engine/index.js';
import { type Connection, NotSentError, type QueryResult } from './connection.js';

const { sleep } = timers;

/** The part of node-postgres' `Pool` that is used. */
export interface PgPool {
  connect(): Promise<PgClient>;
  on(event: 'error' | 'connect', listener: (subject: any) => void): unknown;
  off(event: 'error' | 'connect', listener: (subject: any) => void): unknown;
}

export interface PgClient {
  query(sql: string, params?: any[]): Promise<any>;
  on(event: string, listener: (...args: any[]) => void): unknown;
  off(event: string, listener: (...args: any[]) => void): unknown;
  release(error?: Error | boolean): void;
}

const LONGEST_PAUSE_MS = 1_000;
const SIGN_OF_LIFE_MS = 10_000;

/** A server, through a pool of node-postgres. */
export class ServerConnection implements Connection {
  readonly isEmbedded = false;
  readonly isExclusive = false;

  /** @param end the pool, if it is the engine's own */
  constructor(
    private readonly pool: PgPool,
    private readonly host: EngineHost,
    private readonly end?: () => Promise<void>,
  ) {
    // Without a listener, a connection that breaks while nobody uses it ends the process; and so does one that breaks
    // in the moment in which the pool hands it out.
    pool.on('error', this.onIdleError);
    pool.on('connect', this.listenToErrors);
  }

  /** Each statement gets a session of the pool's. */
  requireSession(): void {}

  async query(sql: string, params?: unknown[], timeoutMs?: number): Promise<QueryResult> {
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
    let hasEnded = false;
    let drop = () => {};
    // Racing against one promise again and again would keep what each race has left on it.
    const isBrokenWithin = (broken: AbortSignal) =>
      sleep(SIGN_OF_LIFE_MS, false, { ref: false, signal: broken }).catch(() => true);
    const listenOnce = async () => {
      const client = await this.connect(SIGN_OF_LIFE_MS);
      const broken = new AbortController();
      drop = () => broken.abort();
      client.on('error', drop);
      client.on('end', drop);
      client.on('notification', ({ payload }: { payload?: string }) => onNotification(payload ?? ''));
      try {
        await within(SIGN_OF_LIFE_MS, client.query(`listen "${channel}"`));
        onGap();
        // A connection may be dead without anybody having said so.
        while (!hasEnded && !(await isBrokenWithin(broken.signal))) {
          await within(SIGN_OF_LIFE_MS, client.query('select 1'));
        }
      } finally {
        client.release(true);
      }
    };
    const listening = (async () => {
      for (let pauseMs = 50; !hasEnded; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
        const connectedAt = performance.now();
        await listenOnce().catch((error: unknown) => {
          // The engine looks for deliveries each second besides: this is told once, by that.
          void error;
        });
        if (performance.now() - connectedAt > LONGEST_PAUSE_MS) pauseMs = 50;
        if (!hasEnded) await sleep(pauseMs, undefined, { ref: false });
      }
    })();
    return async () => {
      hasEnded = true;
      drop();
      await listening;
    };
  }

  async close(): Promise<void> {
    // One of its own may still hear of connections that break while they end.
    if (this.end) return this.end();
    this.pool.off('error', this.onIdleError);
    this.pool.off('connect', this.listenToErrors);
  }

  private readonly listenToErrors = (client: PgClient) => client.on('error', () => {});

  private readonly onIdleError = (error: Error) => this.host.log(`A connection to Postgres broke: ${error.message}`);

  /** @throws NotSentError */
  private async connect(timeoutMs?: number): Promise<PgClient> {
    const connecting = this.pool.connect();
    try {
      return await within(timeoutMs, connecting);
    } catch (cause) {
      // It may come yet.
      connecting.then(
        (client) => client.release(),
        () => {},
      );
      throw new NotSentError(`no connection: ${messageOf(cause)}`, { cause });
    }
  }

  private async queryOn(client: PgClient, sql: string, params?: unknown[], timeoutMs?: number): Promise<QueryResult> {
    let failure: Error | undefined;
    const onError = (error: Error) => (failure ??= error);
    client.on('error', onError);
    try {
      return (await within(timeoutMs, client.query(sql, params))) as QueryResult;
    } catch (error) {
      failure ??= error as Error;
      throw error;
    } finally {
      client.off('error', onError);
      // After a failure it may be in the middle of something: it is not used again.
      client.release(failure);
    }
  }
}
