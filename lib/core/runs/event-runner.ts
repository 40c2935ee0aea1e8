import { currentEvent } from '../callbacks/current-event.js';
import { providedByHabit } from '../errors/callback-errors.js';
import type { EventName, EventObject, RunArguments } from '../events/event-map.js';
import { runWatch } from '../reports/traces.js';
import { currentTransaction, transactionOf } from '../transactions/current-transaction.js';
import { ChainBegun } from './about-run.js';
import type { Outcome } from './outcome.js';
import { type How, runInOrder, runInParallel, runSettled } from './run-all.js';
import { contextOf, type RunContext } from './run-context.js';
import { NOTHING_AROUND, RunInOrder } from './run-in-order.js';
import type { Runtime } from './runtime.js';
import { startRun } from './start-run.js';

/** Runs events: inject it where something happens that others must follow. */
export class EventRunner {
  /** @internal Nest makes it: inject it. */
  constructor(
    private readonly runtime: Runtime,
    private readonly context?: RunContext,
  ) {
    if (!runtime) throw providedByHabit(new.target);
  }

  /**
   * Runs the callbacks of an event one after another, each awaited, in order, as if they were called here. An error that one
   * throws stops the rest, and this rejects with that error itself. Once all inline callbacks have succeeded, deliveries to
   * durable callbacks are stored, all or none, by the transaction if one is open. Then the callbacks that wait for its end
   * are called, or wait. Last, background callbacks start.
   *
   * An event that nobody answers is fine (see the option `strict`). A forgotten `await` never ends the process: the
   * failure is in the log.
   *
   * @example
   * await this.events.run('user_joined', name, email);
   * await this.events.run(new UserJoined(name, email));
   * await this.events.run(userJoined, name, email);
   *
   * @throws what a callback throws; EVENTS_ARGUMENTS_INVALID, EVENTS_SCHEMA_FAILED, EVENTS_EVENT_INVALID,
   * EVENTS_DEFINITION_CONFLICT, EVENTS_NOBODY_ANSWERS, EVENTS_PROPAGATOR_FAILED, EVENTS_CLOSED, EVENTS_SHUTDOWN_TIMEOUT; with durable callbacks
   * EVENTS_ARGUMENTS_UNSTORABLE, EVENTS_KEY_MISSING, EVENTS_STORE_FAILED, EVENTS_STORE_UNKNOWN, EVENTS_ENGINE_FAILED; in a
   * transaction EVENTS_COMMIT_UNSEEN, EVENTS_TRANSACTION_OVER, EVENTS_TRANSACTION_FOREIGN, EVENTS_TRANSACTION_ABORTED,
   * EVENTS_SAVEPOINT_FAILED
   */
  run<Event extends EventName | EventObject>(event: Event, ...args: RunArguments<Event>): Promise<void> {
    // The common case first: a name without a schema, and nobody who watches runs.
    if (typeof event === 'string' && this.isPlain) {
      const known = this.runtime.registry.find(event);
      if (known?.isPlain) {
        const around = known.background.length > 0 ? new ChainBegun() : NOTHING_AROUND;
        const { run: hook } = this.runtime.options.around;
        if (!hook) return new RunInOrder(this.runtime, known, args, around).start();
        return hook({ event }, () => new RunInOrder(this.runtime, known, args, around).start()) as Promise<void>;
      }
    }
    return this.start(event, args, runInOrder, undefined);
  }

  /**
   * Runs all callbacks of an event in order, whatever fails, and resolves to one outcome for each. Rejects only with errors
   * that are not a callback's doing.
   *
   * @example
   * const outcomes = await this.events.runSettled('user_joined', name, email);
   * const failed = outcomes.filter(({ status }) => status === 'rejected');
   *
   * @throws EVENTS_ARGUMENTS_INVALID, EVENTS_SCHEMA_FAILED, EVENTS_EVENT_INVALID, EVENTS_DEFINITION_CONFLICT,
   * EVENTS_NOBODY_ANSWERS, EVENTS_PROPAGATOR_FAILED, EVENTS_CLOSED, EVENTS_SHUTDOWN_TIMEOUT; what storing rejects with
   */
  runSettled<Event extends EventName | EventObject>(event: Event, ...args: RunArguments<Event>): Promise<Outcome[]> {
    return this.start(event, args, runSettled, []);
  }

  /**
   * Starts all inline callbacks of an event at once and waits for all of them; `before`/`after` do not apply. In a
   * transaction, which is one connection, they come one after another. If one fails, this rejects with its error itself; if
   * several fail, with an `EventsError` whose `errors` holds theirs in order.
   *
   * @throws what a callback throws, or EVENTS_SEVERAL_FAILED; and what `run` throws
   */
  runParallel<Event extends EventName | EventObject>(event: Event, ...args: RunArguments<Event>): Promise<void> {
    return this.start(event, args, runInParallel, undefined);
  }

  /**
   * Returns a runner whose runs have a transaction, a key, headers, a delay and the like. In their callbacks `currentEvent()` answers.
   *
   * @example
   * await this.events.with({ request }).run('user_joined', name, email);
   * await this.events.with({ tx }).run('user_joined', name, email);
   * await this.events.with({ key: order.id, delayMs: 60_000 }).run('order_placed', order.id);
   * await this.events.with({ headers: { tenant: 'acme' } }).run('user_joined', name, email);
   *
   * @throws EVENTS_WITH_INVALID for a field that this version does not know, or a wrong value
   */
  with(context: RunContext): EventRunner {
    return new EventRunner(this.runtime, contextOf(this.context, context));
  }

  /** Whether nothing is to be done before the first callback of an event that is plain itself. */
  private get isPlain(): boolean {
    const { runtime } = this;
    return (
      runtime.registry.isCurrent &&
      !runtime.inFlight.isClosed &&
      !this.context &&
      !runtime.options.tracksCurrentEvent &&
      !runWatch.isOn &&
      currentEvent() === undefined &&
      currentTransaction() === undefined
    );
  }

  private start<T>(event: unknown, args: readonly unknown[], how: How<T>, nothing: T): Promise<T> {
    const { runtime, context } = this;
    const transaction = context?.tx === undefined ? currentTransaction() : transactionOf(context.tx);
    return startRun(runtime, { event, args, how, nothing, context, transaction });
  }
}
