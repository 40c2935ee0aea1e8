import type { RegisteredEvent } from '../callbacks/registered-event.js';
import type { Json, NewDelivery } from '../engine/delivery.js';
import { TransactionRefusedError, UnknownOutcomeError } from '../engine/refusals.js';
import type { EventHeaders } from '../events/event-headers.js';
import { keyMissing, storeFailed, storeUnknown } from '../errors/delivery-errors.js';
import { sentenceOf } from '../errors/describe.js';
import type { EventsError } from '../errors/events-error.js';
import { transactionAborted, transactionForeign, transactionOver } from '../errors/transaction-errors.js';
import { isAborted, isToBeRepeated, sqlStateOf } from '../transactions/sql-state.js';
import type { Transaction } from '../transactions/transaction.js';
import type { Coding } from './coding.js';
import type { DeclaredCallbacks } from './declared-callbacks.js';
import { givenIdOf, idOf, shownId } from './given-id.js';
import { newId } from './new-id.js';
import { storeArguments } from './stored-arguments.js';

/** The things that a run may say of its deliveries. */
export interface DeliveryOptions {
  readonly id?: string;
  readonly key?: string;
  readonly delayMs?: number;
}

/** Stores the deliveries of one run. Refuses all of them before any callback runs, if one could not be stored. */
export class DeliveryWriter {
  /** As the application knows it. */
  readonly id: string;
  private readonly stored: Pick<NewDelivery, 'id' | 'givenId'>;
  private readonly args: readonly Json[];

  /**
   * @param passed the arguments as they were passed to `run()`, before any schema
   * @throws EVENTS_KEY_MISSING, EVENTS_ARGUMENTS_UNSTORABLE, EVENTS_CODEC_FAILED
   */
  constructor(
    private readonly declared: DeclaredCallbacks,
    private readonly event: RegisteredEvent,
    readonly passed: readonly unknown[],
    private readonly options: DeliveryOptions,
    private readonly coding: Coding,
  ) {
    const ordered = event.durable.find(({ durable }) => durable.isOrdered);
    if (ordered && options.key === undefined) throw keyMissing(event.label, ordered.id);
    const given = options.id ?? newId();
    this.stored = { id: idOf(given), ...givenIdOf(given) };
    this.id = shownId(this.stored);
    this.args = this.writeArguments();
  }

  /**
   * The deliveries as they are now. Inline callbacks may have changed the arguments; the callbacks after them see that,
   * too.
   *
   * @param headers are those of the deliveries, as they are when these are sent
   */
  write(headers: EventHeaders): readonly NewDelivery[] {
    const { event, options, stored } = this;
    const args = event.inline.length > 0 ? this.writeArguments() : this.args;
    const { key, delayMs = 0 } = options;
    return event.durable.map((callback): NewDelivery => {
      const delivery = { event: event.label, callback: callback.id, ...stored, headers, arguments: args, delayMs };
      return key === undefined ? delivery : { ...delivery, key };
    });
  }

  /**
   * Has the engine store what was written. Repeating it changes nothing.
   *
   * @throws EVENTS_STORE_FAILED, EVENTS_STORE_UNKNOWN, EVENTS_ENGINE_FAILED; in a transaction EVENTS_TRANSACTION_OVER,
   * EVENTS_TRANSACTION_FOREIGN, EVENTS_TRANSACTION_ABORTED; the database's own error where the transaction is to be repeated
   */
  async send(deliveries: readonly NewDelivery[], transaction?: Transaction): Promise<void> {
    const engine = await this.declared.ready(this.event);
    try {
      await engine.store(deliveries, transaction?.sql);
    } catch (cause) {
      throw this.errorOf(cause, engine.name, transaction);
    }
  }

  /** The error of a run that waits for the answer no more. */
  doubt(engine: string, cause: unknown): EventsError {
    return storeUnknown(this.event.label, this.id, engine, cause);
  }

  private errorOf(cause: unknown, engine: string, transaction?: Transaction): unknown {
    const { label } = this.event;
    if (cause instanceof UnknownOutcomeError) return storeUnknown(label, this.id, engine, cause);
    if (!transaction) return storeFailed(label, this.id, engine, cause);
    if (cause instanceof TransactionRefusedError) {
      return cause.reason === 'over'
        ? transactionOver(label, `has ended, or never was one: it is ${transaction.kind}`, true, cause.cause)
        : transactionForeign(label, engine, `${transaction.kind}, in another database`, true);
    }
    // Whoever repeats transactions looks for this very error, and its SQLSTATE.
    if (isToBeRepeated(cause)) return cause;
    if (isAborted(cause)) return transactionAborted(cause);
    if (sqlStateOf(cause) || cause instanceof TypeError || cause instanceof RangeError)
      return storeFailed(label, this.id, engine, cause, true);
    // The data layer itself has refused it: it ends what the caller may have believed to be open.
    return transactionOver(label, `takes no more statements: ${sentenceOf(cause).replace(/\.$/, '')}`, true, cause);
  }

  private writeArguments(): readonly Json[] {
    const { label, key } = this.event;
    return this.coding.encodeArguments(label, storeArguments(label, this.passed, typeof key === 'function'));
  }
}
