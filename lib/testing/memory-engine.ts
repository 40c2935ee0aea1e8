// Not the global ones, which fake timers replace.
import { clearInterval, clearTimeout, setInterval, setTimeout } from 'node:timers';
import type {
  DeliveryFilter,
  DeliveryQuery,
  DurableCallback,
  DurableEngine,
  EngineAttempt,
  EngineFactory,
  NewDelivery,
  SqlTransaction,
} from '../index.js';
import { type Claim, copyOf, MemoryStore, type Row } from './memory-store.js';

/** What `memoryEngine()` takes. All of it is optional. */
export interface MemoryEngineOptions {
  /**
   * Where deliveries are kept: give it to several applications, and they share them as instances in production do.
   * @default a new one for each application
   */
  readonly store?: MemoryStore;
  /**
   * How long a claim lasts that is not renewed, in milliseconds: after that, what a crashed instance was performing is
   * performed by another.
   * @default 10_000
   */
  readonly leaseMs?: number;
}

/**
 * An engine for tests: it keeps the rules of every engine, and keeps deliveries in memory, so that nothing has to be
 * there and nothing remains.
 *
 * @example
 * EventsModule.forRoot({ engine: memoryEngine() })
 */
export const memoryEngine =
  ({ store, leaseMs = 10_000 }: MemoryEngineOptions = {}): EngineFactory =>
  () =>
    new MemoryEngine(store ?? new MemoryStore(), leaseMs);

interface Worker {
  readonly callback: DurableCallback;
  readonly perform: (attempt: EngineAttempt) => Promise<void>;
  running: number;
}

/** One instance on a {@link MemoryStore}. */
export class MemoryEngine implements DurableEngine {
  readonly name = 'memory';
  readonly capabilities = { transactions: false, order: true };
  private readonly workers: Worker[] = [];
  private readonly claims = new Set<Claim>();
  private unsubscribe = () => {};
  private renewal: NodeJS.Timeout | undefined;
  private wakeUp: NodeJS.Timeout | undefined;
  private isWorking = true;

  constructor(
    protected readonly kept: MemoryStore,
    private readonly leaseMs: number,
  ) {}

  async start(): Promise<void> {
    this.unsubscribe = this.kept.subscribe(() => this.pump());
    this.renewal = setInterval(() => this.renew(), this.leaseMs / 4);
    this.renewal.unref();
  }

  async declare(callbacks: readonly DurableCallback[]): Promise<void> {
    this.kept.declare(callbacks);
  }

  async store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void> {
    if (transaction) throw noTransactions();
    this.kept.add(deliveries, Date.now());
  }

  work(callback: DurableCallback, perform: Worker['perform']): void {
    this.workers.push({ callback, perform, running: 0 });
    this.pump();
  }

  async stopWorking(): Promise<void> {
    this.isWorking = false;
  }

  async stop(): Promise<void> {
    this.isWorking = false;
    this.unsubscribe();
    clearInterval(this.renewal);
    clearTimeout(this.wakeUp);
  }

  async counts() {
    return this.kept.counts(Date.now());
  }

  async list(query: DeliveryQuery) {
    return this.kept.list(query);
  }

  async retry(filter: DeliveryFilter): Promise<number> {
    return this.kept.retry(filter, Date.now());
  }

  async discard(filter: DeliveryFilter): Promise<number> {
    return this.kept.discard(filter);
  }

  protected renew(): void {
    const now = Date.now();
    for (const claim of this.claims) claim.expiresAt = now + this.leaseMs;
    this.kept.expire(now);
  }

  /** Begins all that may begin now, and comes back when more is due. */
  private pump(): void {
    if (!this.isWorking) return;
    const now = Date.now();
    for (const worker of this.workers) {
      for (let row; worker.running < worker.callback.concurrency && (row = this.kept.next(worker.callback, now));) {
        void this.perform(worker, row, now);
      }
    }
    clearTimeout(this.wakeUp);
    const due = this.workers.flatMap(({ callback }) => this.kept.nextDue(callback, now) ?? []);
    if (due.length > 0) this.wakeUp = setTimeout(() => this.pump(), Math.min(Math.min(...due) - now, 60_000)).unref();
  }

  private async perform(worker: Worker, row: Row, now: number): Promise<void> {
    const claim: Claim = { expiresAt: now + this.leaseMs, abort: new AbortController() };
    Object.assign(row, { claim, state: 'running', since: now, attempts: row.attempts + 1 });
    this.claims.add(claim);
    worker.running++;
    // Whoever stored it has its turn first, as with an engine that is elsewhere.
    await new Promise((resolve) => setTimeout(resolve));
    await worker.perform(this.attemptAt(row, claim));
    this.claims.delete(claim);
    worker.running--;
    this.pump();
  }

  protected attemptAt(row: Row, claim: Claim): EngineAttempt {
    const { event, callback, id, key, arguments: args } = row;
    const settle = async (change: Partial<Row>): Promise<boolean> => {
      if (row.claim !== claim) return false;
      this.claims.delete(claim);
      Object.assign(row, { claim: undefined, since: Date.now(), ...change });
      this.kept.changed();
      return true;
    };
    return {
      delivery: { event, callback, id, ...(key !== undefined && { key }), arguments: copyOf(args) },
      attempt: row.attempts,
      signal: claim.abort.signal,
      complete: async () => {
        if (row.claim !== claim) return false;
        this.claims.delete(claim);
        row.claim = undefined;
        this.kept.remove(row);
        return true;
      },
      retryIn: (ms, error) => settle({ state: 'waiting', since: Date.now() + ms, isRetried: true, error }),
      bury: (error) => settle({ state: 'dead', error }),
      release: () => settle({ state: 'waiting', attempts: row.attempts - 1, isRetried: true }),
      completeIn: () => Promise.reject(noTransactions()),
    };
  }
}

const noTransactions = () =>
  new Error('The memory engine takes no transactions. Store and complete without one, or use another engine.');
