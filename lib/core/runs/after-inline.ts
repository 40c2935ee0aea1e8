import { AsyncResource } from 'node:async_hooks';
import { type About, describeRun, withCurrentEvent } from '../callbacks/current-event.js';
import type { RegisteredEvent } from '../callbacks/registered-event.js';
import { DeliveryWriter } from '../delivery/delivery-writer.js';
import { inPropagated } from '../delivery/propagation.js';
import { delayUseless } from '../errors/delivery-errors.js';
import { commitUnseen, transactionForeign, transactionOver } from '../errors/transaction-errors.js';
import { NO_HEADERS } from '../events/event-headers.js';
import type { InstanceScope } from '../nest/instance-scope.js';
import { asPartOf, tracedRun } from '../reports/traces.js';
import { withTransaction } from '../transactions/current-transaction.js';
import type { Transaction } from '../transactions/transaction.js';
import { HeldWork, type HeldWorkOptions } from './held-work.js';
import type { Outcome } from './outcome.js';
import type { RunContext } from './run-context.js';
import type { Runtime } from './runtime.js';
import { type CallbackCall, settle } from './settle.js';

/**
 * Does what follows the inline callbacks of a run once they have succeeded: stores the deliveries to durable callbacks, and
 * calls the callbacks that wait for the end of the transaction, or keeps them for it.
 */
export class AfterInline {
  /** The name of what is being waited for. */
  waitsFor = '';
  private isStoring = false;

  constructor(
    private readonly runtime: Runtime,
    private readonly event: RegisteredEvent,
    private readonly writer: DeliveryWriter | undefined,
    private readonly about: About,
    private readonly transaction: Transaction | undefined,
  ) {}

  /** The id of the deliveries that it stores. */
  get id(): string | undefined {
    return this.writer?.id;
  }

  /** The error of a run that closing gives up: what is being stored by then may be stored. */
  givenUpWith(error: unknown): unknown {
    return this.isStoring && this.writer ? this.writer.doubt(this.runtime.engine.name, error) : error;
  }

  /** @throws EVENTS_TRANSACTION_OVER; what storing rejects with */
  async begin(args: readonly unknown[], scope: InstanceScope | undefined, tellsCaller = false): Promise<Outcome[]> {
    const { event, transaction } = this;
    this.requireOpen('its inline callbacks were done');
    const outcomes: Outcome[] = [];
    if (this.writer) {
      const startedAt = performance.now();
      const status = await this.store(this.writer);
      const durationMs = performance.now() - startedAt;
      for (const { id } of event.durable) outcomes.push({ callback: id, status, durationMs });
    }
    if (event.held.length > 0) this.requireOpen('its deliveries were stored');
    for (const callback of event.held) {
      const call = { callback, event, args, scope };
      // Without waiting in between, in which the transaction might end.
      if (transaction) outcomes.push(this.holdCallback(transaction, call));
      else if (callback.delivery === 'after-commit') outcomes.push(await this.callNow(call, tellsCaller));
    }
    return outcomes;
  }

  /** Refuses to go on in a transaction that has ended: what is kept for its end would be lost. */
  private requireOpen(whenDone: string): void {
    if (this.transaction?.isOver) throw transactionOver(this.event.label, `had ended before ${whenDone}`, true);
  }

  private async store(writer: DeliveryWriter): Promise<'stored' | 'held'> {
    const { runtime, event, transaction } = this;
    this.waitsFor = `storing "${event.label}"`;
    const headers = { ...this.about.headers };
    const deliveries = writer.write(headers);
    const send = (within?: Transaction) => this.around(writer, headers, () => writer.send(deliveries, within), within);
    if (!transaction) {
      this.isStoring = true;
      await send();
      this.isStoring = false;
      return 'stored';
    }
    if (!runtime.engine.takesTransactions) {
      this.storeAfterCommit(transaction, writer, send);
      return 'held';
    }
    await send(transaction);
    return 'stored';
  }

  /** Sends what is stored, within what is around that. */
  private around(
    { id }: DeliveryWriter,
    headers: Record<string, string>,
    send: () => Promise<void>,
    transaction: Transaction | undefined,
  ): Promise<void> {
    // The transaction's outcome decides what is stored, and no savepoint of it.
    const proceed = transaction ? () => transaction.savepoints.outlast(send) : send;
    const { options, failures } = this.runtime;
    const { store } = options.around;
    if (!store) return proceed();
    const { label, durable } = this.event;
    const whenKept = (tell: () => void) => {
      const safely = () => failures.watching(tell);
      if (transaction?.seesEnd) transaction.whenCommitted(safely);
      else safely();
    };
    return store({ event: label, id, callbacks: durable.map((one) => one.id), headers, whenKept }, proceed);
  }

  private storeAfterCommit(transaction: Transaction, writer: DeliveryWriter, send: () => Promise<void>): void {
    const { event } = this;
    const { inFlight, failures } = this.runtime;
    const tell = (error: unknown) => {
      failures.refuse(event.label, error);
      for (const callback of event.durable) failures.tell({ event, callback, args: writer.passed, error });
    };
    // Nothing but the engine is called there, which knows nothing of contexts.
    const context = new AsyncResource('NestCallbacksStoring');
    const store = () => context.runInAsyncScope(() => withTransaction(undefined, send)).catch(tell);
    const waitsFor = () => this.waitsFor;
    const work = () => inFlight.watch(waitsFor, store(), () => {}).catch(() => {});
    const name = event.durable.map(({ id }) => id).join(', ');
    this.hold(transaction, { on: 'commit', name, work, tell });
  }

  private async callNow(call: CallbackCall, tellsCaller: boolean): Promise<Outcome> {
    const { id } = call.callback;
    this.waitsFor = id;
    const startedAt = performance.now();
    const { inFlight } = this.runtime;
    const current = describeRun(inFlight, call.event, call.args, this.about);
    const result = await withCurrentEvent(current, () => settle(this.runtime, call, tellsCaller));
    return { callback: id, ...result, durationMs: performance.now() - startedAt };
  }

  private holdCallback(transaction: Transaction, call: CallbackCall): Outcome {
    const { runtime } = this;
    const { inFlight, failures } = runtime;
    const { callback, event, args } = call;
    const { about } = this;
    const current = describeRun(inFlight, event, args, about);
    const run = tracedRun();
    const tell = (error: unknown) => {
      const failure = { event, callback, args, error };
      if (inFlight.isGivenUpBy(error)) failures.tell(failure);
      else failures.report(failure);
    };
    // Rejects when the application gives it up, and has told so.
    const settled = async () => void (await settle(runtime, call, false).catch(() => {}));
    const called = () => asPartOf(run, () => withCurrentEvent(current, settled));
    const within = () => inPropagated(runtime.options.propagators, about, called).catch(tell);
    const work = () => withTransaction(undefined, within);
    const on = callback.delivery === 'after-commit' ? 'commit' : 'rollback';
    this.hold(transaction, { on, name: callback.id, work, tell });
    return { callback: callback.id, status: 'held', durationMs: 0 };
  }

  private hold(transaction: Transaction, work: Omit<HeldWorkOptions, 'event'>): void {
    const { inFlight, failures } = this.runtime;
    transaction.hold(new HeldWork(inFlight, failures.logger, { event: this.event.label, ...work }));
  }
}

/**
 * Finds out what follows the inline callbacks of a run; `undefined` when nothing does. Refuses, before any callback runs, a
 * step that could not follow.
 *
 * @param passed the arguments as they were passed to `run()`, before any schema
 * @throws EVENTS_COMMIT_UNSEEN, EVENTS_TRANSACTION_FOREIGN, EVENTS_WITH_INVALID for a delay that nothing heeds; what
 * {@link DeliveryWriter} throws
 */
export function afterInlineOf(
  runtime: Runtime,
  event: RegisteredEvent,
  passed: readonly unknown[],
  context: RunContext,
  transaction?: Transaction,
): AfterInline | undefined {
  const isDurable = event.durable.length > 0;
  if (!isDurable && context.delayMs) throw delayUseless(event.label);
  if (!isDurable && event.held.length === 0) return undefined;
  const { engine, options } = runtime;
  if (transaction && !transaction.seesEnd) {
    const [held] = event.held;
    if (held) throw commitUnseen(event.label, held.id, transaction.kind);
    const [durable] = engine.takesTransactions ? [] : event.durable;
    if (durable) throw commitUnseen(event.label, durable.id, transaction.kind, options.hooks?.transactionRemedy);
  }
  if (isDurable && transaction && !transaction.sql && engine.takesTransactions) {
    throw transactionForeign(event.label, engine.name, transaction.kind, false);
  }
  const writer = isDurable ? new DeliveryWriter(runtime.declared, event, passed, context, runtime.coding) : undefined;
  const { headers = NO_HEADERS, request } = context;
  return new AfterInline(runtime, event, writer, { headers, request }, transaction);
}
