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
  type NewDelivery,
  type SqlTransaction,
} from '../engine/index.js';
import { startBoss } from './boss.js';
import { type ClaimedJob, Claims } from './claims.js';
import type { Connection } from './connection/connection.js';
import { JoinedTransactions } from './caller-transactions.js';
import { KeptDeliveries } from './kept-deliveries.js';
import { openConnection } from './connection/open-connection.js';
import type { CompleteOptions } from './options.js';
import { isOrderedQueue, queueName } from './queue-name.js';
import { Statements } from './statements/statements.js';
import { type Move, Sweeper } from './sweeper.js';
import { Worker } from './worker.js';
import { isQueueMissing, Writer } from './writer.js';

const QUERY_TIMEOUT_MS = 5_000;
const BOOT_TIMEOUT_MS = 30_000;

/** All that there is once the database is open. */
interface Parts {
  readonly host: EngineHost;
  readonly connection: Connection;
  readonly boss: PgBoss;
  readonly health: EngineHealth;
  readonly claims: Claims;
  readonly sweeper: Sweeper;
  readonly writer: Writer;
  readonly kept: KeptDeliveries;
}

/** Durable deliveries as jobs of pg-boss, on a Postgres server or on PGlite. */
export class PostgresEngine implements DurableEngine {
  readonly name = 'Postgres';
  readonly capabilities = { transactions: true, order: true };
  private readonly statements: Statements;
  private readonly channel: string;
  private readonly queues = new Map<string, { queue: string; isOrdered: boolean }>();
  private readonly workers = new Map<string, Worker>();
  private connection: Connection | undefined;
  private opened: Parts | undefined;
  private unlisten: (() => Promise<void>) | undefined;

  constructor(private readonly options: CompleteOptions) {
    const { schema, leaseMs, keepCompletedMs } = options;
    this.statements = new Statements(schema, leaseMs / 1_000, keepCompletedMs / 1_000);
    this.channel = `${schema}_deliveries`;
  }

  async start(host: EngineHost): Promise<void> {
    const { statements, channel, options } = this;
    const connection = (this.connection = await openConnection(options, host));
    const boss = await startBoss(connection, options, host);
    await connection.query(statements.probe, [], BOOT_TIMEOUT_MS);
    if (connection.isExclusive) await connection.query(statements.takeBack, [], BOOT_TIMEOUT_MS);
    const joined = await JoinedTransactions.on(connection, options.storeTimeoutMs);
    const health = new EngineHealth(host, 'Postgres');
    const wake = (queue: string) => this.workers.get(queue)?.wake();
    const sweeper: Sweeper = new Sweeper(connection, statements, health, () => claims.names, wake);
    const claims = new Claims(connection, statements, channel, options.leaseMs, health, (queue, afterMs) =>
      sweeper.remind(queue, afterMs),
    );
    this.opened = {
      host,
      connection,
      boss,
      health,
      sweeper,
      claims,
      writer: new Writer(connection, statements, channel, options.storeTimeoutMs, joined),
      kept: new KeptDeliveries(connection, statements, channel),
    };
  }

  async declare(callbacks: readonly DurableCallback[]): Promise<void> {
    const { connection, boss, sweeper } = this.parts;
    const { rows } = await connection.query(this.statements.queues, [], BOOT_TIMEOUT_MS);
    const existing = new Set((rows as { name: string }[]).map(({ name }) => name));
    const moves: Move[] = [];
    for (const callback of callbacks) {
      const { event, isOrdered, formerly } = callback;
      const queue = queueName(callback, isOrdered);
      if (!existing.has(queue)) await boss.createQueue(queue, { policy: policyOf(isOrdered) });
      // pg-boss keeps what it knows of queues; what it claims must not have to ask first.
      await boss.getQueue(queue);
      this.queues.set(keyOf(callback), { queue, isOrdered });
      const former = formerly.flatMap((id) => [true, false].map((was) => queueName({ event, callback: id }, was)));
      for (const from of [queueName(callback, !isOrdered), ...former]) moves.push({ from, to: queue });
    }
    await sweeper.adopt(moves);
  }

  async store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void> {
    let isAnyOrdered = false;
    const addressed = deliveries.map((delivery) => {
      const known = this.queues.get(keyOf(delivery));
      if (!known) throw new Error(`${delivery.callback} was never declared for "${delivery.event}".`);
      isAnyOrdered ||= known.isOrdered;
      return { queue: known.queue, delivery };
    });
    const { boss, writer, sweeper } = this.parts;
    for (const { queue, delivery } of addressed) if (delivery.delayMs > 0) sweeper.remind(queue, delivery.delayMs);
    try {
      await writer.store(addressed, isAnyOrdered, transaction);
    } catch (error) {
      // A transaction is over with that; what comes later finds the queues again.
      if (transaction || !isQueueMissing(error)) throw error;
      for (const { queue } of addressed) await boss.createQueue(queue, { policy: policyOf(isOrderedQueue(queue)) });
      await writer.store(addressed, isAnyOrdered);
    }
  }

  work(callback: DurableCallback, perform: (attempt: EngineAttempt) => Promise<void>): void {
    const { host, connection, boss, claims, health, sweeper } = this.parts;
    const { queue, isOrdered } = this.queues.get(keyOf(callback))!;
    const db = { executeSql: (sql: string, params?: unknown[]) => connection.query(sql, params, QUERY_TIMEOUT_MS) };
    const claim = async (most: number) => {
      const claimedAt = performance.now();
      const jobs = await boss.fetch<ClaimedJob['data']>(queue, { batchSize: most, db });
      return jobs.map((job) => ({ ...job, claimedAt }));
    };
    const worker = new Worker(
      callback.concurrency,
      isOrdered,
      claim,
      async (job, onThrough) => {
        const attempt = claims.attemptAt(job, onThrough);
        await perform(attempt).catch((error: unknown) =>
          host.report('An attempt ended in a way that it must not', error),
        );
        attempt.abandon();
      },
      (job) => claims.attemptAt(job).release(),
      (error) => health.failed(error),
    );
    this.workers.set(queue, worker);
    sweeper.add(queue);
    worker.wake();
    this.listen();
  }

  async stopWorking(): Promise<void> {
    const stopping = [...this.workers.values()].map((worker) => worker.stop());
    // It may be waiting for a database that is away.
    await Promise.all([...stopping, this.opened?.sweeper.stop()]);
  }

  async stop(): Promise<void> {
    await this.stopWorking();
    this.opened?.claims.stop();
    await this.unlisten?.();
    await this.opened?.boss.stop({ graceful: false, close: false });
    await this.connection?.close();
  }

  /** The first callback to work has the engine listen; without, it looks each second. */
  private listen(): void {
    this.unlisten ??= (() => {
      const wakeAll = () => {
        for (const worker of this.workers.values()) worker.wake();
      };
      const listening = this.parts.connection.listen(this.channel, (queue) => this.workers.get(queue)?.wake(), wakeAll);
      listening.catch((error: unknown) => this.parts.health.failed(error));
      return () => listening.then((end) => end());
    })();
  }

  private get parts(): Parts {
    if (!this.opened) throw new Error('The engine has not started, or has stopped.');
    return this.opened;
  }

  counts() {
    return this.parts.kept.counts();
  }

  list(query: DeliveryQuery) {
    return this.parts.kept.list(query);
  }

  retry(filter: DeliveryFilter) {
    return this.parts.kept.retry(filter);
  }

  discard(filter: DeliveryFilter) {
    return this.parts.kept.discard(filter);
  }
}

const keyOf = (address: DeliveryAddress) => queueName(address, false);
const policyOf = (isOrdered: boolean) => (isOrdered ? 'key_strict_fifo' : 'standard');
