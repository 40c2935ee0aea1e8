import { EventDefinition, checkArguments } from '../events/event-definition.js';
import { currentEvent, describeRun, withCurrentEvent } from '../callbacks/current-event.js';
import { asPartOf, type RunTrace, runChannel, runWatch, traced } from '../reports/traces.js';
import { definitionConflict } from '../errors/callback-errors.js';
import { closed, eventInvalid } from '../errors/run-errors.js';
import { type EventKey, eventLabel, type RunArguments, type RunEvent } from '../events/event-map.js';
import type { EventsCore } from '../app/shutdown.js';
import { handled } from '../async/in-flight.js';
import type { RegisteredEvent } from '../callbacks/registered-event.js';
import { checkRunContext, type RunContext } from './run-context.js';
import { type How, type Outcome, runInOrder, runInParallel, runSettled } from './run-all.js';
import { afterwardsOf } from './after-inline.js';
import { isThenable } from '../async/promises.js';
import { currentTransaction, transactionOf, withTransaction } from '../transactions/current-transaction.js';
import type { Transaction } from '../transactions/transaction.js';
import { transactionOver } from '../errors/transaction-errors.js';

/** Runs events: inject it where something happens that others must follow. */
export class EventRunner {
  /** Nest makes it: inject it. */
  constructor(
    private readonly core: EventsCore,
    private readonly context?: RunContext,
  ) {}

  /**
   * Runs the callbacks of an event one after another, each awaited, in order, as if they were called here. What one
   * throws stops the rest and rejects, as it is. Once all inline ones have succeeded, deliveries to durable callbacks
   * are stored, all or none, by the transaction if one is open; then those that wait for its end are called, or wait; then
   * background callbacks start.
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
   * EVENTS_DEFINITION_CONFLICT, EVENTS_NOBODY_ANSWERS, EVENTS_CLOSED, EVENTS_SHUTDOWN_TIMEOUT; with durable callbacks
   * EVENTS_ARGUMENTS_UNSTORABLE, EVENTS_KEY_MISSING, EVENTS_STORE_FAILED, EVENTS_STORE_UNKNOWN, EVENTS_ENGINE_FAILED; in a
   * transaction EVENTS_COMMIT_UNSEEN, EVENTS_TRANSACTION_OVER, EVENTS_TRANSACTION_FOREIGN, EVENTS_TRANSACTION_ABORTED,
   * EVENTS_SAVEPOINT_FAILED
   */
  run<const Event>(event: RunEvent<Event>, ...args: RunArguments<Event>): Promise<void> {
    // The common case first: a name without a schema, and nobody who watches runs.
    if (typeof event === 'string' && this.isPlain()) {
      const known = this.core.registry.find(event);
      if (known?.isPlain) return runInOrder(this.core, known, args, undefined, undefined, undefined);
    }
    return this.start(event, args, runInOrder, undefined);
  }

  /**
   * Runs all callbacks of an event in order, whatever fails, and resolves to one outcome for each. Rejects only for
   * what is not a callback's doing.
   *
   * @example
   * const outcomes = await this.events.runSettled('user_joined', name, email);
   * const failed = outcomes.filter(({ status }) => status === 'rejected');
   *
   * @throws EVENTS_ARGUMENTS_INVALID, EVENTS_SCHEMA_FAILED, EVENTS_EVENT_INVALID, EVENTS_DEFINITION_CONFLICT,
   * EVENTS_NOBODY_ANSWERS, EVENTS_CLOSED, EVENTS_SHUTDOWN_TIMEOUT; what storing rejects with
   */
  runSettled<const Event>(event: RunEvent<Event>, ...args: RunArguments<Event>): Promise<Outcome[]> {
    return this.start(event, args, runSettled, []);
  }

  /**
   * Starts all inline callbacks of an event at once and waits for all of them; `before`/`after` do not apply. In a
   * transaction, which is one connection, they come one after another. With one
   * failure it rejects with that error itself, with several with an `EventsError` whose `errors` holds them in order.
   *
   * @throws what a callback throws, or EVENTS_SEVERAL_FAILED; and what `run` throws
   */
  runParallel<const Event>(event: RunEvent<Event>, ...args: RunArguments<Event>): Promise<void> {
    return this.start(event, args, runInParallel, undefined);
  }

  /**
   * The same runner, for runs about which something is to be said. In their callbacks `currentEvent()` answers.
   *
   * @example
   * await this.events.with({ request }).run('user_joined', name, email);
   * await this.events.with({ tx }).run('user_joined', name, email);
   * await this.events.with({ key: order.id, delayMs: 60_000 }).run('order_placed', order.id);
   *
   * @throws EVENTS_WITH_INVALID for a field that this version does not know, or a wrong value
   */
  with(context: RunContext): EventRunner {
    checkRunContext(context);
    return new EventRunner(this.core, { ...this.context, ...context });
  }

  private isPlain(): boolean {
    const { core } = this;
    return (
      core.registry.isCurrent &&
      !core.isClosed &&
      !this.context &&
      !core.options.tracksCurrentEvent &&
      !runWatch.isOn &&
      currentEvent() === undefined &&
      currentTransaction() === undefined
    );
  }

  /** All that may have to happen before the first callback; whatever is refused here is logged and rejects. */
  private start<T>(event: unknown, args: readonly unknown[], how: How<T>, nothing: T): Promise<T> {
    const { core } = this;
    let label = String(typeof event === 'string' ? event : 'an event');
    try {
      const reference = referenceOf(event, args);
      label = eventLabel(reference.key);
      if (!core.isClosed) {
        if (!core.registry.refresh()) return core.early.add(label, () => this.start(event, args, how, nothing));
        core.early.flush();
      }
      if (!runWatch.isOn) return this.check(reference, how, nothing);
      const trace: RunTrace = {
        event: label,
        eventKey: reference.key,
        application: core.registry.application,
        arguments: [...reference.args],
      };
      const work = () => asPartOf(trace, () => this.check(reference, how, nothing, trace));
      return handled(traced(runChannel, trace, work) as Promise<T>);
    } catch (error) {
      core.failures.refuse(label, error);
      return handled(Promise.reject(error));
    }
  }

  private check<T>(reference: Reference, how: How<T>, nothing: T, trace?: RunTrace): Promise<T> {
    const { core } = this;
    const label = eventLabel(reference.key);
    if (core.isClosed) throw closed(label);
    const known = core.registry.find(reference.key);
    if (!known) core.unanswered.meet(reference.key);
    if (known?.problem) throw known.problem;
    const checked = checkedBy(definitionFor(known, reference), reference.args);
    const begin = (args: readonly unknown[]) => {
      if (trace) trace.arguments = [...args];
      return known ? this.begin(known, args, reference.args, how, trace) : Promise.resolve(nothing);
    };
    if (!isThenable(checked)) return begin(checked);
    let isChecking = true;
    const begun = Promise.resolve(checked)
      .then((valid) => {
        isChecking = false;
        if (core.isClosed || core.signal.aborted) throw closed(label);
        // Not awaited here: what a callback throws is no refusal.
        return { run: begin(valid) };
      })
      .catch((error: unknown): never => {
        core.failures.refuse(label, error);
        throw error;
      })
      .then(({ run }) => run);
    return core.inFlight.watch(
      () => (isChecking ? `the schemas of "${label}"` : undefined),
      begun,
      () => {},
    );
  }

  /** @param passed what the arguments were before the schemas */
  private begin<T>(
    event: RegisteredEvent,
    args: readonly unknown[],
    passed: readonly unknown[],
    how: How<T>,
    trace: RunTrace | undefined,
  ): Promise<T> {
    const { core } = this;
    const { request, tx } = this.context ?? NONE;
    const transaction = tx === undefined ? currentTransaction() : transactionOf(tx);
    if (transaction?.isOver) throw transactionOver(event.label, 'has ended', false);
    const afterwards = afterwardsOf(core, event, passed, this.context, transaction);
    if (trace && afterwards?.id) trace.id = afterwards.id;
    const work = () => how(core, event, args, request, transaction, afterwards);
    // A run inside a tracked one is another event: its callbacks must not see the outer one as theirs.
    const isTracked = this.context !== undefined || core.options.tracksCurrentEvent || currentEvent() !== undefined;
    if (!isTracked && !transaction) return work();
    return inside(transaction, () => withCurrentEvent(describeRun(core, event, args, request, transaction), work));
  }
}

const NONE: RunContext = {};

/** One that the run was given is that of what its callbacks run, too. */
const inside = <T>(transaction: Transaction | undefined, work: () => T): T =>
  transaction === currentTransaction() ? work() : withTransaction(transaction, work);

type Definition = EventDefinition<string, unknown[], unknown[]>;

interface Reference {
  readonly key: EventKey;
  readonly definition?: Definition;
  readonly args: readonly unknown[];
}

function referenceOf(event: unknown, args: readonly unknown[]): Reference {
  if (typeof event === 'string' && event !== '') return { key: event, args };
  if (event instanceof EventDefinition) return { key: event.name, definition: event, args };
  if (typeof event === 'function') {
    throw eventInvalid('run()', event, `Pass an instance of it: run(new ${event.name || 'TheEvent'}(…)).`);
  }
  if (isThenable(event)) throw eventInvalid('run()', event, 'Await the promise first, and pass what it resolves to.');
  const constructor: unknown = typeof event === 'object' && event !== null && Object.getPrototypeOf(event)?.constructor;
  if (typeof constructor !== 'function' || constructor === Object || constructor === Array) {
    throw eventInvalid('run()', event, 'Pass a name, an instance of an event class, or what defineEvent() returned.');
  }
  return { key: constructor, args: [event] };
}

/** The schemas that hold: those of the callbacks, else those of the call. Both at once must be the same. */
function definitionFor(known: RegisteredEvent | undefined, { definition }: Reference): Definition | undefined {
  const passed = definition?.schemas.length ? definition : undefined;
  if (known?.definition && passed && known.definition !== passed)
    throw definitionConflict(known.label, 'run()', 'its callbacks');
  return known?.definition ?? passed;
}

const checkedBy = (definition: Definition | undefined, args: readonly unknown[]) =>
  definition ? checkArguments(definition, args) : args;
