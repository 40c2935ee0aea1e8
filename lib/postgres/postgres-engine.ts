import type { PgBoss } from 'pg-boss';
import {
  type DeliveryAddress,
  type DeliveryFilter,
  type DeliveryQuery,
  type DurableCallback,
  type DurableEngine,
  type EngineAttempt,
  EngineHealth,
  type EngineHost,
  neverDeclared,
  type NewDelivery,
  type RetryPortion,
  type SqlTransaction,
} from '../engine/index.js';
import { startBoss } from './boss.js';
import { CallerTransactions } from './caller-transactions.js';
import { type ClaimedJob, Claims } from './claims.js';
import type { Connection } from './connection/connection.js';
import { openConnection } from './connection/open-connection.js';
import { KeptDeliveries } from './kept-deliveries.js';
import type { CompleteOptions } from './options.js';
import { isOrderedQueue, queueName } from './queue-name.js';
import { type Statements, statementsFor } from './statements/statements.js';
import { type Move, Sweeper } from './sweeper.js';
import { Worker } from './worker.js';
import { Workers } from './workers.js';
import { isQueueMissing, Writer } from './writer.js';

const QUERY_TIMEOUT_MS = 5_000;
const BOOT_TIMEOUT_MS = 30_000;

/** The parts of an engine that exist once its database is open. */
interface Opened {
  readonly host: EngineHost;
  readonly connection: Connection;
  readonly boss: PgBoss;
  readonly health: EngineHealth;
  readonly claims: Claims;
  readonly sweeper: Sweeper;
  readonly writer: Writer;
  readonly kept: KeptDeliveries;
}

/** The queue of a declared callback. */
interface Declared {
  readonly queue: string;
  readonly isOrdered: boolean;
}

/** Keeps durable deliveries as jobs of pg-boss, on a Postgres server or in PGlite. */
export class PostgresEngine implements DurableEngine {
  readonly name = 'Postgres';
  readonly capabilities = { transactions: true, order: true };
  private readonly statements: Statements;
  private readonly channel: string;
  private readonly declared = new Map<string, Declared>();
  private readonly workers = new Workers();
  private connection: Connection | undefined;
  private opened: Opened | undefined;
  private unlisten: (() => Promise<void>) | undefined;

  constructor(private readonly options: CompleteOptions) {
    const { schema, leaseMs, keepCompletedMs } = options;
    this.statements = statementsFor(schema, {
      leaseSeconds: leaseMs / 1_000,
      keepCompletedSeconds: keepCompletedMs / 1_000,
    });
    this.channel = `${schema}_deliveries`;
  }

  async start(host: EngineHost): Promise<void> {
    const { statements, channel, options, workers } = this;
    const { leaseMs, storeTimeoutMs } = options;
    const connection = (this.connection = await openConnection(options, host));
    const boss = await startBoss(connection, options, host);
    await connection.query(statements.probe, [], BOOT_TIMEOUT_MS);
    if (connection.isExclusive) await connection.query(statements.takeBack, [], BOOT_TIMEOUT_MS);
    const transactions = await CallerTransactions.on(connection, storeTimeoutMs);
    const health = new EngineHealth(host, 'Postgres');
    const onRetry = (queue: string, afterMs: number) => workers.wakeIn(queue, afterMs);
    const claims = new Claims({ connection, statements, transactions, channel, leaseMs, health, onRetry });
    this.opened = {
      host,
      connection,
      boss,
      health,
      claims,
      sweeper: new Sweeper(connection, statements, health, claims, workers),
      writer: new Writer(connection, statements, channel, storeTimeoutMs, transactions),
      kept: new KeptDeliveries(connection, statements, channel),
    };
  }

  async declare(callbacks: readonly DurableCallback[]): Promise<void> {
    const { connection, boss, sweeper } = this.requireOpened();
    const { rows } = await connection.query(this.statements.queues, [], BOOT_TIMEOUT_MS);
    const existing = new Set((rows as { name: string }[]).map(({ name }) => name));
    const moves: Move[] = [];
    for (const callback of callbacks) {
      const { event, isOrdered, formerly } = callback;
      const queue = queueName(callback, isOrdered);
      if (!existing.has(queue)) await boss.createQueue(queue, { policy: policyOf(isOrdered) });
      // pg-boss remembers what it knows of queues. So a later claim does not have to ask for that first.
      await boss.getQueue(queue);
      this.declared.set(keyOf(callback), { queue, isOrdered });
      const former = formerly.flatMap((id) => [true, false].map((was) => queueName({ event, callback: id }, was)));
      for (const from of [queueName(callback, !isOrdered), ...former]) moves.push({ from, to: queue });
    }
    await sweeper.adopt(moves);
  }

  async store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void> {
    const addressed = deliveries.map((delivery) => ({ ...this.requireDeclared(delivery), delivery }));
    const isAnyOrdered = addressed.some(({ isOrdered }) => isOrdered);
    const { boss, writer } = this.requireOpened();
    for (const { queue, delivery } of addressed) {
      if (delivery.delayMs > 0) this.workers.wakeIn(queue, delivery.delayMs);
    }
    try {
      await writer.store(addressed, isAnyOrdered, transaction);
    } catch (error) {
      // A transaction cannot be used any more. Runs after it find the queues again.
      if (transaction || !isQueueMissing(error)) throw error;
      for (const { queue } of addressed) await boss.createQueue(queue, { policy: policyOf(isOrderedQueue(queue)) });
      await writer.store(addressed, isAnyOrdered);
    }
  }

  work(callback: DurableCallback, perform: (attempt: EngineAttempt) => Promise<void>): void {
    const { host, claims, health, sweeper } = this.requireOpened();
    const { queue, isOrdered } = this.requireDeclared(callback);
    const worker = new Worker({
      concurrency: callback.concurrency,
      isOrdered,
      claim: (most) => this.claim(queue, most),
      attempt: async (job, onThrough) => {
        const attempt = claims.attemptAt(job, onThrough);
        await perform(attempt).catch((error: unknown) =>
          host.report('An attempt ended in a way that it must not', error),
        );
        attempt.abandon();
      },
      giveBack: (job) => claims.attemptAt(job).release(),
      onFailure: (error) => health.failed(error),
    });
    this.workers.add(queue, worker);
    sweeper.start();
    this.listen();
  }

  async stopWorking(): Promise<void> {
    // All at once: each may be waiting for a database that is away. The application may end its pool after this, and that
    // waits for the client that listens.
    await Promise.all([this.workers.stop(), this.opened?.sweeper.stop(), this.unlisten?.()]);
  }

  async stop(): Promise<void> {
    await this.stopWorking();
    this.opened?.claims.stop();
    await this.opened?.boss.stop({ graceful: false, close: false });
    await this.connection?.close();
  }

  async counts() {
    return this.requireOpened().kept.counts();
  }

  async list(query: DeliveryQuery) {
    return this.requireOpened().kept.list(query);
  }

  async retry(filter: DeliveryFilter, portion: RetryPortion) {
    return this.requireOpened().kept.retry(filter, portion);
  }

  async discard(filter: DeliveryFilter) {
    return this.requireOpened().kept.discard(filter);
  }

  private async claim(queue: string, most: number): Promise<ClaimedJob[]> {
    const { boss, connection } = this.requireOpened();
    const db = { executeSql: (sql: string, params?: unknown[]) => connection.query(sql, params, QUERY_TIMEOUT_MS) };
    const claimedAt = performance.now();
    const jobs = await boss.fetch<ClaimedJob['data']>(queue, { batchSize: most, db });
    return jobs.map((job) => ({ ...job, claimedAt }));
  }

  /** Listens from when the first callback works. An instance that works on none needs no notifications. */
  private listen(): void {
    if (this.unlisten) return;
    const { connection, health } = this.requireOpened();
    const listening = connection.listen(
      this.channel,
      (queue) => this.workers.wake(queue),
      () => this.workers.wakeAll(),
    );
    // Without notifications, the sweeper still looks each second.
    listening.catch((error: unknown) => health.failed(error));
    this.unlisten = () => listening.then((end) => end());
  }

  private requireOpened(): Opened {
    if (!this.opened) throw new Error('The engine has not started, or has stopped.');
    return this.opened;
  }

  private requireDeclared(address: DeliveryAddress): Declared {
    const declared = this.declared.get(keyOf(address));
    if (!declared) throw neverDeclared(address);
    return declared;
  }
}

const keyOf = (address: DeliveryAddress) => queueName(address, false);
const policyOf = (isOrdered: boolean) => (isOrdered ? 'key_strict_fifo' : 'standard');
