import {
  addressName,
  atMost,
  type DeliveryAddress,
  type DeliveryFilter,
  type DeliveryQuery,
  type DiscardPortion,
  type DurableCallback,
  type DurableEngine,
  type EngineAttempt,
  EngineHealth,
  type EngineHost,
  neverDeclared,
  type NewDelivery,
  Quarantine,
  retentionNotice,
  type RetryPortion,
  type SqlTransaction,
} from '../engine/index.js';
import { QueueNames } from './queue-names.js';
import { openQueues, type Queue } from './queues.js';
import { Connections } from './connections.js';
import { Doorbell } from './doorbell.js';
import { KeptDeliveries } from './kept-deliveries.js';
import { Claims } from './claims.js';
import type { CompleteOptions } from './options.js';
import { Patrol } from './patrol.js';
import { Pauses } from './pauses.js';
import { checkServer } from './server-checks.js';
import { Slots } from './slots.js';
import { tellable, told } from './tellable.js';
import { WithinLimits } from './within-limits.js';
import { Worker } from './worker.js';
import { type Declared, Writer } from './writer.js';

/** How long stopping waits for what is under way. What hangs is given up with its connection. */
const GOODBYE_MS = 500;
/** How many of a queue's events BullMQ keeps, for whoever watches the queue. */
const MOST_EVENTS = 1_000;

/** The parts of an engine that exist once its server is reached. */
interface Opened {
  readonly host: EngineHost;
  readonly health: EngineHealth;
  readonly connections: Connections;
  readonly queueOf: (name: string) => Queue;
  readonly names: QueueNames;
  readonly claims: Claims;
  readonly writer: Writer;
  readonly kept: KeptDeliveries;
  readonly pauses: Pauses;
  readonly patrol: Patrol;
}

/** Keeps durable deliveries as jobs of BullMQ, on a Redis server. */
export class RedisEngine implements DurableEngine {
  readonly name = 'Redis';
  readonly capabilities = {
    transactions: false,
    order: false,
    pause: true,
    postponing: true,
    search: true,
    history: true,
    limits: true,
  };
  private readonly declared = new Map<string, Declared>();
  /** Which address has the deliveries under a former name now. */
  private readonly owners = new Map<string, DeliveryAddress>();
  private readonly workers: Worker[] = [];
  private readonly quarantine = new Quarantine();
  private connections: Connections | undefined;
  private opened: Opened | undefined;
  private doorbell: Doorbell | undefined;

  constructor(private readonly options: CompleteOptions) {}

  start(host: EngineHost): Promise<void> {
    return told(this.open(host));
  }

  private async open(host: EngineHost): Promise<void> {
    const { options } = this;
    const { prefix, leaseMs, storeTimeoutMs, keepCompletedMs, keepDeadMs } = options;
    const health = new EngineHealth(host, 'Redis', tellable);
    const connections = (this.connections = await Connections.make(options));
    await connections.connect(leaseMs, health);
    try {
      await checkServer(connections, prefix, host);
      if (keepDeadMs < Infinity) host.log(retentionNotice(keepDeadMs));
      const queueOf = remembered(await openQueues(connections, options));
      const names = new QueueNames(connections.commands, prefix);
      const ownerOf = (address: DeliveryAddress) => this.owners.get(addressName(address)) ?? address;
      const pauses = new Pauses({ client: connections.commands, names, queueOf, owners: this.owners });
      this.opened = {
        host,
        health,
        connections,
        queueOf,
        names,
        claims: new Claims(connections.commands, leaseMs, keepCompletedMs, host.instance, health),
        writer: new Writer(connections, storeTimeoutMs),
        kept: new KeptDeliveries(connections.commands, names, queueOf, ownerOf, pauses),
        pauses,
        patrol: new Patrol({
          ...options,
          client: connections.commands,
          names,
          queueOf,
          health,
          host,
        }),
      };
    } catch (error) {
      connections.close();
      throw error;
    }
  }

  async declare(callbacks: readonly DurableCallback[]): Promise<void> {
    const { queueOf, names, pauses } = this.requireOpened();
    for (const { event, callback, formerly, isRemote = false } of callbacks) {
      const name = addressName({ event, callback });
      const former = formerly.map((id) => addressName({ event, callback: id }));
      for (const one of former) this.owners.set(one, { event, callback });
      const declared = { name, queue: queueOf(name), former: former.map(queueOf) };
      if (!isRemote) await pauses.inherit(declared);
      await declared.queue.setQueueMeta({ 'opts.maxLenEvents': MOST_EVENTS });
      this.declared.set(name, declared);
      names.add(name, isRemote);
    }
    await names.tell();
  }

  async store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void> {
    if (transaction) throw new Error('The Redis engine takes no transactions. Store the deliveries without one.');
    const addressed = deliveries.map((delivery) => ({ declared: this.requireDeclared(delivery), delivery }));
    await this.requireOpened().writer.store(addressed);
    for (const { declared, delivery } of addressed) {
      if (delivery.delayMs > 0) this.workerOf(declared.queue)?.remind(Date.now() + delivery.delayMs);
    }
  }

  work(callback: DurableCallback, perform: (attempt: EngineAttempt) => Promise<void>): void {
    const { host, health, connections, claims, patrol } = this.requireOpened();
    const { quarantine } = this;
    const { queue, former } = this.requireDeclared(callback);
    const slots = new Slots(callback.concurrency);
    const doorbell = (this.doorbell ??= new Doorbell(connections, health, host));
    patrol.start();
    const safely = (attempt: EngineAttempt) =>
      perform(attempt).catch((error: unknown) => host.report('An attempt ended in a way that it must not', error));
    const address = { event: callback.event, callback: callback.callback };
    const onRoom = () => doorbell.refresh();
    const queues = [queue, ...former];
    const { limits } = callback;
    const within = limits && new WithinLimits(limits, queues, connections.commands, this.options.leaseMs);
    const shared = { address, slots, within, claims, quarantine, perform: safely, health, onRoom };
    for (const one of queues) {
      const worker = new Worker({ queue: one, ...shared });
      this.workers.push(worker);
      doorbell.add(worker);
    }
  }

  async stopWorking(): Promise<void> {
    const stopping = [this.opened?.patrol.stop(), this.doorbell?.stop()];
    await Promise.all([...stopping, ...this.workers.map((worker) => worker.stop())]);
  }

  get hasDuty(): boolean {
    return this.opened?.patrol.hasDuty ?? false;
  }

  async stop(): Promise<void> {
    await atMost(GOODBYE_MS, this.stopWorking());
    this.opened?.claims.stop();
    this.opened?.health.stop();
    this.connections?.close();
    this.opened = undefined;
  }

  async addresses() {
    return told(this.requireOpened().kept.addresses());
  }

  async counts() {
    return told(this.requireOpened().kept.counts());
  }

  async list(query: DeliveryQuery) {
    return told(this.requireOpened().kept.list(query));
  }

  async retry(filter: DeliveryFilter, portion: RetryPortion) {
    return told(this.requireOpened().kept.retry(filter, portion));
  }

  async discard(filter: DeliveryFilter, portion: DiscardPortion) {
    return told(this.requireOpened().kept.discard(filter, portion));
  }

  async pause(filter: Partial<DeliveryAddress>) {
    return told(this.requireOpened().pauses.pause(filter));
  }

  async resume(filter: Partial<DeliveryAddress>) {
    return told(this.requireOpened().pauses.resume(filter));
  }

  private requireOpened(): Opened {
    if (!this.opened) throw new Error('The engine has not started, or has stopped.');
    return this.opened;
  }

  private requireDeclared(address: DeliveryAddress): Declared {
    const declared = this.declared.get(addressName(address));
    if (!declared) throw neverDeclared(address);
    return declared;
  }

  private workerOf(queue: Queue): Worker | undefined {
    return this.workers.find((worker) => worker.queue === queue);
  }
}

/** Makes one queue for each name, and remembers it. */
function remembered(make: (name: string) => Queue): (name: string) => Queue {
  const made = new Map<string, Queue>();
  return (name) => {
    const queue = made.get(name) ?? make(name);
    made.set(name, queue);
    return queue;
  };
}
