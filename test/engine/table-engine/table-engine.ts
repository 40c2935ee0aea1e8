import {
  addressName,
  type DeliveryFilter,
  type DeliveryQuery,
  type DurableCallback,
  type DurableEngine,
  type EngineAttempt,
  type EngineFactory,
  EngineHealth,
  type EngineHost,
  loadPeer,
  type NewDelivery,
  type OptionChecks,
  Quarantine,
  requireOptions,
  type RetryPortion,
  type SqlTransaction,
} from 'nestjs-callbacks/engine';
import { type Database, Table } from './table.js';
import { claimsOn, dutyOn, type Started, Worker } from './worker.js';

/** What `tableEngine()` takes. */
export interface TableEngineOptions {
  /** A PGlite that is open; its owner closes it. @default one in memory */
  readonly database?: Database;
  /** How long a claim lasts that is not renewed, in milliseconds. @default 10_000 */
  readonly leaseMs?: number;
}

const CHECKS: OptionChecks = {
  database: { isValid: (value) => typeof value?.query === 'function', expected: 'Pass a PGlite.' },
  leaseMs: {
    isValid: (value) => Number.isSafeInteger(value) && value >= 100,
    expected: 'Pass milliseconds, 100 or more.',
  },
};

/**
 * Keeps deliveries in one table of a PGlite.
 *
 * @example
 * EventsModule.forRoot({ engine: tableEngine() })
 */
export function tableEngine(options: TableEngineOptions = {}): EngineFactory {
  requireOptions('tableEngine()', options, CHECKS);
  return () => new TableEngine(options);
}

class TableEngine implements DurableEngine {
  readonly name = 'table';
  readonly capabilities = { transactions: true, order: true };
  private readonly declared = new Set<string>();
  private readonly workers: Worker[] = [];
  private ownDatabase: Database | undefined;
  private started: Started | undefined;

  constructor(private readonly options: TableEngineOptions) {}

  async start(host: EngineHost): Promise<void> {
    const { database, leaseMs = 10_000 } = this.options;
    if (!database) this.ownDatabase = await openPGlite();
    const table = new Table((database ?? this.ownDatabase)!, leaseMs);
    await table.create();
    const health = new EngineHealth(host, 'PGlite');
    const [claims, duty] = [claimsOn(table, leaseMs, health), dutyOn(table, health)];
    this.started = { table, health, claims, duty, quarantine: new Quarantine() };
  }

  async declare(callbacks: readonly DurableCallback[]): Promise<void> {
    for (const callback of callbacks) {
      this.declared.add(addressName(callback));
      await this.table.note(callback);
      await this.table.adopt(callback);
    }
  }

  async store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void> {
    const unknown = deliveries.find((delivery) => !this.declared.has(addressName(delivery)));
    if (unknown) throw new Error(`${unknown.callback} was never declared for "${unknown.event}"`);
    await this.table.store(deliveries, transaction);
    // What others store, and what a transaction commits, the workers find when they look next.
    for (const worker of this.workers) void worker.look();
  }

  work(callback: DurableCallback, perform: (attempt: EngineAttempt) => Promise<void>): void {
    this.workers.push(new Worker(this.running, callback, perform));
    this.running.duty.start();
  }

  async stopWorking(): Promise<void> {
    await Promise.all([this.started?.duty.stop(), ...this.workers.map((worker) => worker.stop())]);
  }

  get hasDuty(): boolean {
    return this.started?.duty.isHeld ?? false;
  }

  async stop(): Promise<void> {
    await this.stopWorking();
    this.started?.claims.stop();
    await this.ownDatabase?.close();
  }

  addresses = () => this.table.addresses();
  counts = () => this.table.counts();
  list = (query: DeliveryQuery) => this.table.list(query);
  retry = (filter: DeliveryFilter, portion: RetryPortion) => this.table.retry(filter, portion);
  discard = async (filter: DeliveryFilter) => ({ count: await this.table.discard(filter) });

  private get running(): Started {
    if (!this.started) throw new Error('The engine has not started.');
    return this.started;
  }

  private get table(): Table {
    return this.running.table;
  }
}

/** A database in memory. */
export async function openPGlite() {
  const { PGlite } = await loadPeer('@electric-sql/pglite', () => import('@electric-sql/pglite'));
  return PGlite.create();
}
