import { type EngineHealth, type EngineHost, timers } from '../engine/index.js';
import type { Connections } from './connections.js';
import { isForbidden } from './server-checks.js';
import type { Worker } from './worker.js';

const { setImmediate, sleep } = timers;

/** How many seconds one command waits: less than the time after which the connection counts as broken. */
const WAIT_SECONDS = 4;
/** Where nothing ends the command before, so that it waits for other queues: in a cluster, or if this user may not. */
const WAIT_UNINTERRUPTED_SECONDS = 1;
const PAUSE_MS = 100;

/**
 * Waits for jobs of all queues, on one connection. BullMQ puts a marker beside a queue when something is due there, or will
 * be. Whoever takes the marker looks into the queue, and puts the marker back if there is more.
 */
export class Doorbell {
  private readonly workers = new Map<string, Worker>();
  private waitsAt: readonly string[] = [];
  private waiterId: number | undefined;
  private isInterruptible: boolean;
  private isRefreshing = false;
  private hasStopped = false;
  private onChange = () => {};
  private readonly ringing: Promise<void>;

  constructor(
    private readonly connections: Connections,
    private readonly health: EngineHealth,
    private readonly host: EngineHost,
  ) {
    this.isInterruptible = !connections.isCluster;
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
    const { waiting } = this.connections;
    if (this.isInterruptible) this.waiterId ??= await this.learnId();
    // Meanwhile it may have been stopped, or others may have got room.
    this.waitsAt = this.hungry;
    if (this.hasStopped || this.waitsAt.length === 0) return;
    const seconds = this.isInterruptible ? WAIT_SECONDS : WAIT_UNINTERRUPTED_SECONDS;
    const taken = await waiting.bzpopmin(...this.waitsAt, seconds);
    this.waitsAt = [];
    if (!taken) return;
    const [marker, member, score] = taken;
    const worker = this.workers.get(marker);
    if (!worker?.hasRoom) await this.connections.commands.zadd(marker, score, member);
    else if (Number(score) > Date.now()) worker.remind(Number(score));
    else worker.wake();
  }

  /** Learns how to end the command that waits, and whether this user may do so: it does to one that does not wait yet. */
  private async learnId(): Promise<number | undefined> {
    try {
      const id = Number(await this.connections.waiting.client('ID'));
      await this.connections.commands.client('UNBLOCK', id);
      return id;
    } catch (error) {
      if (!isForbidden(error)) throw error;
      this.isInterruptible = false;
      this.host.warn(
        'This Redis user may not use CLIENT ID and CLIENT UNBLOCK: a delivery to a callback that was busy may begin up to a second ' +
          'late. Allow +client|id and +client|unblock.',
      );
      return undefined;
    }
  }

  /** Ends the command that waits, so that the next one waits for other queues, too. Where it must not, that ends by itself. */
  private interrupt(): void {
    if (!this.isInterruptible || this.waiterId === undefined || this.waitsAt.length === 0) return;
    this.connections.commands.client('UNBLOCK', this.waiterId).catch((error: unknown) => this.health.failed(error));
  }
}
