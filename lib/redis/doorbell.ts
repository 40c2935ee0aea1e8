import { type EngineHealth, timers } from '../engine/index.js';
import type { Connections } from './connections.js';
import type { Worker } from './worker.js';

const { setImmediate, sleep } = timers;

/** How many seconds one command waits: less than the time after which the connection counts as broken. */
const WAIT_SECONDS = 4;
/** In a cluster, where nothing ends the command before, so that it waits for other queues. */
const WAIT_IN_CLUSTER_SECONDS = 1;
const PAUSE_MS = 100;

/**
 * Waits for jobs of all queues, on one connection. BullMQ puts a marker beside a queue when something is due there, or will
 * be. Whoever takes the marker looks into the queue, and puts the marker back if there is more.
 */
export class Doorbell {
  private readonly workers = new Map<string, Worker>();
  private waitsAt: readonly string[] = [];
  private waiterId: number | undefined;
  private isRefreshing = false;
  private hasStopped = false;
  private onChange = () => {};
  private readonly ringing: Promise<void>;

  constructor(
    private readonly connections: Connections,
    private readonly health: EngineHealth,
  ) {
    this.ringing = this.listen();
    const { waiting } = connections;
    waiting.on('ready', () => {
      this.waiterId = undefined;
    });
  }

  add(worker: Worker): void {
    this.workers.set(worker.queue.keys.marker, worker);
    worker.wake();
    this.refresh();
  }

  /** Waits for the jobs of a worker, too, that has room again. */
  refresh(): void {
    if (this.isRefreshing || this.hasStopped) return;
    this.isRefreshing = true;
    setImmediate(() => {
      this.isRefreshing = false;
      this.onChange();
      if (this.hungry.some((marker) => !this.waitsAt.includes(marker))) this.interrupt();
    });
  }

  async stop(): Promise<void> {
    this.hasStopped = true;
    this.onChange();
    // It asks the server to let it go, rather than cut the connection. Otherwise the server may hand a marker to a
    // connection that has just left, and then nobody has the marker.
    this.interrupt();
    await Promise.race([this.ringing, sleep(PAUSE_MS)]);
    this.connections.waiting.disconnect();
    await this.ringing;
  }

  private get hungry(): string[] {
    return [...this.workers].flatMap(([marker, worker]) => (worker.hasRoom ? [marker] : []));
  }

  private async listen(): Promise<void> {
    while (!this.hasStopped) {
      this.waitsAt = this.hungry;
      try {
        if (this.waitsAt.length === 0) await new Promise<void>((resolve) => (this.onChange = resolve));
        else if (this.connections.waiting.status === 'ready') await this.wait();
        // The connection tells by itself that it is broken. It may be back a little later than the one for commands.
        else await sleep(PAUSE_MS);
      } catch (error) {
        if (this.hasStopped) return;
        this.health.failed(error);
        await sleep(PAUSE_MS);
      }
    }
  }

  private async wait(): Promise<void> {
    const { waiting, isCluster } = this.connections;
    if (!isCluster) this.waiterId ??= Number(await waiting.client('ID'));
    const taken = await waiting.bzpopmin(...this.waitsAt, isCluster ? WAIT_IN_CLUSTER_SECONDS : WAIT_SECONDS);
    this.waitsAt = [];
    if (!taken) return;
    const [marker, member, score] = taken;
    const worker = this.workers.get(marker);
    if (!worker?.hasRoom) await this.connections.commands.zadd(marker, score, member);
    else if (Number(score) > Date.now()) worker.remind(Number(score));
    else worker.wake();
  }

  /** Ends the command that waits, so that the next one waits for other queues, too. In a cluster, it ends by itself. */
  private interrupt(): void {
    if (this.waiterId === undefined || this.waitsAt.length === 0) return;
    this.connections.commands.client('UNBLOCK', this.waiterId).catch((error: unknown) => this.health.failed(error));
  }
}
