import {
  type DeliveryAddress,
  BeginSlack,
  type DeliveryFilter,
  type DeliveryQuery,
  type DiscardPortion,
  type DurableCallback,
  type DurableEngine,
  type EngineAttempt,
  type EngineFactory,
  type EngineHost,
  type NewDelivery,
  Quarantine,
  retentionNotice,
  retentionReport,
  type RetryPortion,
  type SqlTransaction,
  timers,
} from '../../engine/index.js';
import { type Clock, REAL_TIME } from './clock.js';
import { attemptAt, noTransactions } from './memory-attempt.js';
import { KeptRows } from './kept-rows.js';
import type { MemoryEngineOptions } from './memory-options.js';
import { MemoryStore } from './memory-store.js';
import type { Claim, Row } from './row.js';

const { clearInterval, setInterval, setTimeout } = timers;

/**
 * Makes an engine for tests. It keeps the rules of every engine, and keeps deliveries in memory: it needs nothing, and
 * leaves nothing behind.
 *
 * @example
 * EventsModule.forRoot({ engine: memoryEngine() })
 */
export const memoryEngine =
  ({ store, leaseMs = 10_000, clock, keepDeadMs }: MemoryEngineOptions = {}): EngineFactory =>
  () =>
    new MemoryEngine(store ?? new MemoryStore(), leaseMs, clock, keepDeadMs);

interface Worker {
  readonly callback: DurableCallback;
  readonly perform: (attempt: EngineAttempt) => Promise<void>;
  running: number;
}

/** Stores and performs deliveries in a {@link MemoryStore}, as one instance of an application. */
export class MemoryEngine implements DurableEngine {
  readonly name = 'memory';
  readonly capabilities = {
    transactions: false,
    order: true,
    pause: true,
    postponing: true,
    search: true,
    history: true,
    limits: true,
    groups: true,
  };
  private readonly workers: Worker[] = [];
  private readonly rows: KeptRows;
  private readonly claims = new Map<Claim, Row>();
  private readonly quarantine = new Quarantine();
  /** The claims on suspects that are performed here. */
  private readonly suspects = new Set<Claim>();
  private host: EngineHost | undefined;
  private unsubscribe = () => {};
  private renewal: NodeJS.Timeout | undefined;
  private callOffWakeUp = () => {};
  private isWorking = true;
  private instance = '';

  constructor(
    protected readonly kept: MemoryStore,
    private readonly leaseMs: number,
    private readonly clock: Clock = REAL_TIME,
    private readonly keepDeadMs = Infinity,
  ) {
    this.rows = new KeptRows(kept);
  }

  async start(host: EngineHost): Promise<void> {
    this.host = host;
    this.instance = host.instance;
    if (this.keepDeadMs < Infinity) host.log(retentionNotice(this.keepDeadMs));
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

  async discard(filter: DeliveryFilter, portion: DiscardPortion) {
    return this.rows.discard(filter, portion);
  }

  async pause(filter: Partial<DeliveryAddress>): Promise<number> {
    return this.kept.pauses.pause(filter, this.kept.callbacks, this.clock.now());
  }

  async resume(filter: Partial<DeliveryAddress>): Promise<number> {
    const count = this.kept.pauses.resume(filter, this.kept.callbacks);
    this.kept.changed();
    return count;
  }

  protected renew(): void {
    const now = Date.now();
    for (const claim of this.claims.keys()) claim.expiresAt = now + this.leaseMs;
    this.kept.expire(now, this.clock.now());
    if (!this.hasDuty || this.keepDeadMs === Infinity) return;
    const removed = this.rows.removeDead(this.clock.now() - this.keepDeadMs);
    if (removed.length > 0) this.host?.log(retentionReport(this.keepDeadMs, removed));
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
      await worker.perform(attemptAt(row, claim, { instance: this.instance, store: this.kept, now, drop }));
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
