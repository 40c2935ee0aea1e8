import type { PgBoss } from 'pg-boss';
import {
  atMost,
  type DeliveryAddress,
  type DeliveryFilter,
  type DeliveryQuery,
  type DiscardPortion,
  type DurableCallback,
  type DurableEngine,
  type EngineAttempt,
  EngineHealth,
  type GroupLimit,
  groupOf,
  type EngineHost,
  neverDeclared,
  type NewDelivery,
  retentionNotice,
  type RetryPortion,
  type SqlTransaction,
} from '../engine/index.js';
import { startBoss } from './boss.js';
import { importBoss } from './import-boss.js';
import { CallerTransactions } from './caller-transactions.js';
import type { Connection } from './connection/connection.js';
import { openConnection } from './connection/open-connection.js';
import { checkServer } from './connection/server-checks.js';
import { EmbeddedClock } from './embedded-clock.js';
import { KeptDeliveries } from './kept-deliveries.js';
import { Limits } from './limits.js';
import { isQueueMissing } from './missing-queue.js';
import { type CompleteOptions, sessionsOf } from './options.js';
import { type OpenedSchema, openOwnSchema } from './open-own-schema.js';
import { Pauses } from './pauses.js';
import { queueName } from './queue-name.js';
import { movesTo, Queues } from './queues.js';
import { type Statements, statementsFor } from './statements/statements.js';
import type { StoreOptions } from './statements/store.js';
import { Working } from './working.js';
import { Writer } from './writer.js';

const BOOT_TIMEOUT_MS = 30_000;
/** How long stopping waits for each part. What hangs is given up with its connection. */
const GOODBYE_MS = 500;

/** The parts of an engine that exist once its database is open. */
interface Opened {
  readonly connection: Connection;
  readonly boss: PgBoss;
  readonly queues: Queues;
  readonly pauses: Pauses;
  readonly limits: Limits;
  readonly working: Working;
  readonly writer: Writer;
  readonly kept: KeptDeliveries;
  /** Of a database whose own is too coarse. */
  readonly clock: EmbeddedClock | undefined;
}

/** The queue of a declared callback. */
interface Declared {
  readonly queue: string;
  readonly isOrdered: boolean;
  readonly groups?: GroupLimit;
}

/** Keeps durable deliveries as jobs of pg-boss, on a Postgres server or in PGlite. */
export class PostgresEngine implements DurableEngine {
  readonly name: string;
  private readonly durations: StoreOptions;
  private own: OpenedSchema | undefined;
  private readonly channel: string;
  private readonly declared = new Map<string, Declared>();
  private connection: Connection | undefined;
  private opened: Opened | undefined;

  constructor(private readonly options: CompleteOptions) {
    const { schema, leaseMs, keepCompletedMs, connectionString, pool } = options;
    this.name = connectionString !== undefined || pool ? 'Postgres' : 'PGlite';
    this.durations = { leaseSeconds: leaseMs / 1_000, keepCompletedSeconds: keepCompletedMs / 1_000 };
    this.channel = `${schema}_deliveries`;
  }

  /** Whether it can pause hangs on the schema, as it is found. */
  get capabilities() {
    return {
      transactions: true,
      order: true,
      pause: this.own?.mayPause ?? true,
      postponing: true,
      search: true,
      history: true,
      limits: true,
      groups: true,
    };
  }

  async start(host: EngineHost): Promise<void> {
    const { channel, options } = this;
    const { leaseMs, storeTimeoutMs, keepDeadMs } = options;
    const connection = (this.connection = await openConnection(options, host));
    const boss = await openBoss(connection, options, host);
    const own = (this.own = await openOwnSchema(connection, options, host));
    const statements = this.statementsIn(own);
    await connection.query(statements.probe, [], BOOT_TIMEOUT_MS);
    if (connection.isExclusive) await takeOver(connection, statements, own);
    const transactions = await CallerTransactions.on(connection, storeTimeoutMs);
    const health = new EngineHealth(host, this.name);
    if (keepDeadMs < Infinity) host.log(retentionNotice(keepDeadMs));
    const limits = new Limits(connection, own.limits, options.schema, options.migrate);
    const shared = { connection, statements, transactions, channel };
    const pauses = new Pauses({ connection, statements, pauses: own.pauses, mayPause: own.mayPause, channel });
    this.opened = {
      connection,
      boss,
      pauses,
      limits,
      queues: new Queues({ connection, boss, statements, marks: own.marks, inherit: pauses.inherit }),
      working: new Working({ ...shared, host, health, leaseMs, keepDeadMs, instances: own.instances, limits }),
      writer: new Writer({
        ...shared,
        ...this.durations,
        timeoutMs: storeTimeoutMs,
        waiting: Math.floor(sessionsOf(options) / 2),
      }),
      kept: new KeptDeliveries(connection, statements, channel, pauses, { schema: options.schema, ...this.durations }),
      clock: connection.isEmbedded ? new EmbeddedClock() : undefined,
    };
  }

  async declare(callbacks: readonly DurableCallback[]): Promise<void> {
    const { queues, working, pauses, limits } = this.requireOpened();
    pauses.declare(callbacks);
    await limits.prepare(callbacks);
    await queues.make(callbacks);
    for (const callback of callbacks) {
      const { isOrdered, limits: { groups } = {} } = callback;
      this.declared.set(keyOf(callback), { queue: queueName(callback, isOrdered), isOrdered, groups });
    }
    await working.adopt(callbacks.flatMap(movesTo));
    await limits.assignGroups();
  }

  async store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void> {
    const { queues, writer, working, clock } = this.requireOpened();
    const addressed = deliveries.map((delivery) => {
      const declared = this.requireDeclared(delivery);
      const call = working.calledFor(declared.queue, !transaction);
      const group = declared.groups && groupOf(delivery, declared.groups);
      return { ...declared, delivery, call, storedAt: clock?.next(), group };
    });
    const isAnyOrdered = addressed.some(({ isOrdered }) => isOrdered);
    try {
      await writer.store(addressed, isAnyOrdered, transaction);
    } catch (error) {
      // A transaction cannot be used any more. Runs after it find the queues again.
      if (transaction || !isQueueMissing(error)) throw error;
      for (const { queue } of addressed) await queues.remake(queue);
      await writer.store(addressed, isAnyOrdered);
    }
    for (const { queue, delivery, call } of addressed) {
      if (delivery.delayMs > 0 || call === undefined) working.stored(queue, delivery.delayMs, delivery.key);
    }
  }

  work(callback: DurableCallback, perform: (attempt: EngineAttempt) => Promise<void>): void {
    const { queue } = this.requireDeclared(callback);
    this.requireOpened().working.work(queue, callback, perform);
  }

  async stopWorking(): Promise<void> {
    await this.opened?.working.stopWorking();
  }

  get hasDuty(): boolean {
    return this.opened?.working.hasDuty ?? false;
  }

  async stop(): Promise<void> {
    await atMost(GOODBYE_MS, this.stopWorking());
    this.opened?.working.stop();
    await atMost(GOODBYE_MS, this.opened?.boss.stop({ graceful: false, close: false }) ?? Promise.resolve());
    await this.connection?.close();
  }

  async addresses() {
    return this.requireOpened().kept.addresses();
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

  async discard(filter: DeliveryFilter, portion: DiscardPortion) {
    return this.requireOpened().kept.discard(filter, portion);
  }

  async pause(filter: Partial<DeliveryAddress>) {
    return this.requireOpened().pauses.pause(filter);
  }

  async resume(filter: Partial<DeliveryAddress>) {
    return this.requireOpened().pauses.resume(filter);
  }

  private statementsIn({ pauses, cheaper, marks }: OpenedSchema): Statements {
    const statements = statementsFor(this.options.schema, this.durations, pauses !== undefined);
    return { ...statements, ...cheaper, ...(marks && { queues: marks.queues }) };
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

/** A package that is missing is told of before a server that is. */
async function openBoss(connection: Connection, options: CompleteOptions, host: EngineHost): Promise<PgBoss> {
  await importBoss();
  await checkServer(connection, options.schema);
  return await startBoss(connection, options, host);
}

/** Takes all that others had: whoever was here before is gone. */
async function takeOver(connection: Connection, { takeBack }: Statements, own: OpenedSchema): Promise<void> {
  await connection.query(takeBack, [], BOOT_TIMEOUT_MS);
  if (own.instances) await connection.query(own.instances.forgetAll, [], BOOT_TIMEOUT_MS);
}
