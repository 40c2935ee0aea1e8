import {
  BeginSlack,
  type DeliveryFilter,
  type DeliveryQuery,
  type DurableCallback,
  type DurableEngine,
  type EngineAttempt,
  type EngineFactory,
  type NewDelivery,
  Quarantine,
  type RetryPortion,
  type SqlTransaction,
  timers,
} from '../../engine/index.js';
import { type Clock, REAL_TIME } from './clock.js';
import { attemptAt, noTransactions } from './memory-attempt.js';
import { KeptRows } from './kept-rows.js';
import { MemoryStore } from './memory-store.js';
import type { Claim, Row } from './row.js';

const { clearInterval, setInterval, setTimeout } = timers;

/** The options of `memoryEngine()`. All are optional. */
export interface MemoryEngineOptions {
  /**
   * Where deliveries are kept. Applications that are given the same store share its deliveries, as instances in production
   * do.
   * @default a new one for each application
   */
  readonly store?: MemoryStore;
  /**
   * How long a claim lasts that is not renewed, in milliseconds. After that, another instance performs what a crashed one
   * was performing.
   * @default 10_000
   */
  readonly leaseMs?: number;
  /**
   * Decides when deliveries become due, after delays and before retries. Claims always last by the real time.
   * @default the real time
   */
  readonly clock?: Clock;
}

/**
 * Makes an engine for tests. It keeps the rules of every engine, and keeps deliveries in memory: it needs nothing, and
 * leaves nothing behind.
 *
 * @example
 * EventsModule.forRoot({ engine: memoryEngine() })
 */
export const memoryEngine =
  ({ store, leaseMs = 10_000, clock }: MemoryEngineOptions = {}): EngineFactory =>
  () =>
    new MemoryEngine(store ?? new MemoryStore(), leaseMs, clock);

interface Worker {
  readonly callback: DurableCallback;
  readonly perform: (attempt: EngineAttempt) => Promise<void>;
  running: number;
}

/** Stores and performs deliveries in a {@link MemoryStore}, as one instance of an application. */
export class MemoryEngine implements DurableEngine {
  readonly name = 'memory';
  readonly capabilities = { transactions: false, order: true, limits: true, groups: true };
  private readonly workers: Worker[] = [];
  private readonly rows: KeptRows;
  private readonly claims = new Map<Claim, Row>();
  private readonly quarantine = new Quarantine();
  /** The claims on suspects that are performed here. */
  private readonly suspects = new Set<Claim>();
  private unsubscribe = () => {};
  private renewal: NodeJS.Timeout | undefined;
  private callOffWakeUp = () => {};
  private isWorking = true;

  constructor(
    protected readonly kept: MemoryStore,
    private readonly leaseMs: number,
    private readonly clock: Clock = REAL_TIME,
  ) {
    this.rows = new KeptRows(kept);
  }

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
    this.kept.add(deliveries, this.clock.now());
  }

  work(callback: DurableCallback, perform: Worker['perform']): void {
    this.workers.push({ callback, perform, running: 0 });
    if (this.isWorking) this.kept.begins(this);
    this.pump();
  }

  get hasDuty(): boolean {
    return this.kept.isFirst(this);
  }

  async stopWorking(): Promise<void> {
    this.isWorking = false;
    this.kept.ends(this);
    for (const [claim, row] of this.claims) {
      if (claim.hasBegun) continue;
      this.drop(claim);
      this.kept.giveBack(row, this.clock.now());
    }
  }

  async stop(): Promise<void> {
    this.isWorking = false;
    this.kept.ends(this);
    this.unsubscribe();
    clearInterval(this.renewal);
    this.callOffWakeUp();
  }

  async counts() {
    return this.rows.counts(this.clock.now());
  }

  async list(query: DeliveryQuery) {
    return this.rows.list(query);
  }

  async addresses() {
    return this.kept.callbacks.map(({ event, callback, isOrdered, isRemote = false }) => ({
      event,
      callback,
      isOrdered,
      isRemote,
    }));
  }

  async retry(filter: DeliveryFilter, portion: RetryPortion) {
    return this.rows.retry(filter, portion, this.clock.now());
  }

  async discard(filter: DeliveryFilter): Promise<number> {
    return this.rows.discard(filter);
  }

  protected renew(): void {
    const now = Date.now();
    for (const claim of this.claims.keys()) claim.expiresAt = now + this.leaseMs;
    this.kept.expire(now, this.clock.now());
  }

  /** Begins all attempts that may begin now, and comes back when more deliveries are due. */
  private pump(): void {
    if (!this.isWorking) return;
    const now = this.clock.now();
    const admits = ({ isSuspect, spared }: Row) => !isSuspect || this.quarantine.tryEnter(spared);
    for (const worker of this.workers) {
      const { callback } = worker;
      for (let row; worker.running < callback.concurrency && (row = this.kept.next(callback, now, admits));) {
        void this.begin(worker, row, now);
      }
    }
    // No other suspect is left, unless some run.
    if (this.quarantine.tryEnter()) this.quarantine.leave('none');
    this.callOffWakeUp();
    // A worker without a free place comes back anyway, when an attempt ends.
    const idle = this.workers.filter(({ running, callback }) => running < callback.concurrency);
    const due = idle.flatMap(({ callback }) => this.kept.nextDue(callback, now) ?? []);
    if (due.length > 0) this.callOffWakeUp = this.clock.wakeAt(Math.min(...due), () => this.pump());
  }

  private async begin(worker: Worker, row: Row, now: number): Promise<void> {
    const claim: Claim = {
      expiresAt: Date.now() + this.leaseMs,
      hasBegun: false,
      isOnLoneSuspect: row.isSuspect && this.quarantine.isForOne,
      abort: new AbortController(),
    };
    Object.assign(row, { claim, state: 'running', since: now });
    const slackMs = slackOf(worker.callback);
    this.kept.limited.take(worker.callback, now, slackMs);
    this.claims.set(claim, row);
    if (row.isSuspect) this.suspects.add(claim);
    worker.running++;
    // Whoever stored it goes on first, as with an engine in another process.
    await new Promise((resolve) => setTimeout(resolve));
    const isLate = this.clock.now() - now > slackMs;
    if (isLate && row.claim === claim) this.kept.giveBack(row, now);
    if (this.isWorking && row.claim === claim) {
      claim.hasBegun = true;
      row.attempts++;
      const drop = () => this.drop(claim);
      const now = () => this.clock.now();
      await worker.perform(attemptAt(row, claim, { store: this.kept, now, drop }));
    }
    this.drop(claim);
    worker.running--;
    this.pump();
  }

  /** Renews a claim no more, and lets other suspects begin if this was on one. */
  private drop(claim: Claim): void {
    this.claims.delete(claim);
    if (this.suspects.delete(claim)) this.quarantine.leave(claim.hasBegun ? 'ended' : 'none');
  }
}

/** How long after it has claimed a delivery an attempt may begin. */
const slackOf = ({ limits }: DurableCallback): number => (limits?.rate ? new BeginSlack(limits.rate).ms : Infinity);
