import { timers, within } from '../../engine/index.js';
import { endSession } from './end-session.js';
import type { PgClient } from './pg-pool.js';

const { sleep } = timers;

/** Says which channel to listen to, and who is told. */
export interface ListeningOptions {
  readonly channel: string;
  /** Takes a client out of the pool. */
  connect(timeoutMs: number): Promise<PgClient>;
  /** Whether the pool waits for its clients to come back, and hands out none any more. */
  isPoolEnding(): boolean;
  onNotification(payload: string): void;
  /** Is told each time that notifications may have been missed. */
  onGap(): void;
}

const SHORTEST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** How long a connection may be silent before it is asked for a sign of life, and how long the answer may take. */
const SIGN_OF_LIFE_MS = 10_000;
/** How long the end of a pool may wait for its client, if it has no other: a pool does not tell that it is to end. */
const POOL_LOOK_MS = 2_500;

/** Listens on one client of a pool, and takes another whenever that breaks, until it is told to end. */
export class Listening {
  private broken: AbortController | undefined;
  /** The client that it has, for as long as it has one. */
  private client: PgClient | undefined;
  /** The statement that it may be doing. */
  private running: Promise<unknown> = Promise.resolve();
  private readonly ending = new AbortController();

  constructor(private readonly options: ListeningOptions) {
    void this.run();
  }

  /** Gives up the client at once, whatever it waits for. Calling it again changes nothing. */
  end(): void {
    this.ending.abort();
    this.broken?.abort();
    this.giveBack();
  }

  private giveBack(): void {
    const { client } = this;
    this.client = undefined;
    const hurry = { signal: this.ending.signal, isPoolEnding: () => this.options.isPoolEnding() };
    if (client) void endSession(client, this.running, hurry);
  }

  private get isOver(): boolean {
    return this.ending.signal.aborted || this.options.isPoolEnding();
  }

  private async run(): Promise<void> {
    for (let pauseMs = SHORTEST_PAUSE_MS; !this.isOver; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const startedAt = performance.now();
      await this.listenOnce();
      // The connection worked for a while, so a new one is likely to be had soon.
      if (performance.now() - startedAt > LONGEST_PAUSE_MS) pauseMs = SHORTEST_PAUSE_MS;
      if (!this.isOver) await sleep(pauseMs, undefined, { ref: false });
    }
  }

  /** Resolves when there is no client, or no longer. */
  private async listenOnce(): Promise<void> {
    try {
      const client = (this.client = await this.options.connect(SIGN_OF_LIFE_MS));
      if (!this.isOver) await this.listenOn(client);
    } catch {
      // The sweeper asks the same database each second, and reports an outage once for both.
    }
    this.giveBack();
  }

  private async listenOn(client: PgClient): Promise<void> {
    const { channel, onNotification, onGap } = this.options;
    const broken = (this.broken = new AbortController());
    const onBroken = () => broken.abort();
    client.on('error', onBroken);
    client.on('end', onBroken);
    client.on('notification', ({ payload }: { payload?: string }) => {
      // A client that is given back goes on until its connection is closed.
      if (this.client === client) onNotification(payload ?? '');
    });
    await this.query(client, `listen "${channel}"`);
    if (this.isOver) return;
    onGap();
    // A connection may be dead without anybody having said so.
    let silentMs = 0;
    while (!this.isOver && !(await isAbortedWithin(POOL_LOOK_MS, broken.signal))) {
      silentMs += POOL_LOOK_MS;
      if (silentMs < SIGN_OF_LIFE_MS || this.isOver) continue;
      await this.query(client, 'select 1');
      silentMs = 0;
    }
  }

  private async query(client: PgClient, sql: string): Promise<void> {
    await within(SIGN_OF_LIFE_MS, (this.running = client.query(sql)));
  }
}

/** Waits by a timer of its own: racing against one promise again and again would keep what each race has left on it. */
const isAbortedWithin = (timeoutMs: number, signal: AbortSignal): Promise<boolean> =>
  sleep(timeoutMs, false, { ref: false, signal }).catch(() => true);
