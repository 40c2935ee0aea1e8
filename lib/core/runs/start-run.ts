import { handled, isThenable } from '../async/promises.js';
import { currentEvent, describeRun, withCurrentEvent } from '../callbacks/current-event.js';
import type { RegisteredEvent } from '../callbacks/registered-event.js';
import { closed } from '../errors/run-errors.js';
import { transactionOver } from '../errors/transaction-errors.js';
import { NO_HEADERS } from '../events/event-headers.js';
import { eventLabel } from '../events/event-map.js';
import { asPartOf, type RunTrace, runChannel, runWatch, traced } from '../reports/traces.js';
import { currentTransaction, withTransaction } from '../transactions/current-transaction.js';
import type { Transaction } from '../transactions/transaction.js';
import { aboutRun } from './about-run.js';
import { afterInlineOf } from './after-inline.js';
import { checkedArguments, type Reference, referenceOf } from './event-reference.js';
import type { How, Run } from './run-all.js';
import type { RunContext } from './run-context.js';
import type { Runtime } from './runtime.js';

/** One call of `run()` or its like. */
export interface RunRequest<T> {
  readonly event: unknown;
  readonly args: readonly unknown[];
  readonly how: How<T>;
  /** The result where no callback answers. */
  readonly nothing: T;
  readonly context: RunContext | undefined;
  readonly transaction: Transaction | undefined;
}

/** Does all that may have to happen before the first callback. Whatever is refused here is logged, and rejects. */
export function startRun<T>(runtime: Runtime, request: RunRequest<T>): Promise<T> {
  const { event, args, transaction } = request;
  let reference: Reference;
  try {
    reference = referenceOf(event, args);
  } catch (error) {
    return refused(runtime, typeof event === 'string' ? event : 'an event', error);
  }
  const start = () => startReferred(runtime, request, reference);
  if (!transaction?.waitsForRuns) return start();
  return transaction.runs.begin(eventLabel(reference.key), runtime.failures, start);
}

function startReferred<T>(runtime: Runtime, request: RunRequest<T>, reference: Reference): Promise<T> {
  const label = eventLabel(reference.key);
  try {
    if (!runtime.inFlight.isClosed) {
      if (!runtime.registry.refresh()) {
        return runtime.early.add(label, () => startReferred(runtime, request, reference));
      }
      runtime.early.flush();
    }
    const go = () => (runWatch.isOn ? tracedRunOf(runtime, request, reference) : check(runtime, request, reference));
    const { run: around } = runtime.options.around;
    return around ? (around({ event: label }, go) as Promise<T>) : go();
  } catch (error) {
    return refused(runtime, label, error);
  }
}

function refused({ failures }: Runtime, event: string, error: unknown): Promise<never> {
  failures.refuse(event, error);
  return handled(Promise.reject<never>(error));
}

function tracedRunOf<T>(runtime: Runtime, request: RunRequest<T>, reference: Reference): Promise<T> {
  const trace: RunTrace = {
    event: eventLabel(reference.key),
    eventKey: reference.key,
    application: runtime.registry.application,
    arguments: [...reference.args],
  };
  const work = () => asPartOf(trace, () => check(runtime, request, reference, trace));
  return handled(traced(runChannel, trace, work) as Promise<T>);
}

/** Checks the arguments, then begins. */
function check<T>(runtime: Runtime, request: RunRequest<T>, reference: Reference, trace?: RunTrace): Promise<T> {
  const label = eventLabel(reference.key);
  if (runtime.inFlight.isClosed) throw closed(label);
  const known = runtime.registry.find(reference.key);
  if (!known) runtime.unanswered.meet(reference.key);
  if (known?.problem) throw known.problem;
  const checked = checkedArguments(known, reference);
  const beginWith = (args: readonly unknown[]) => {
    if (trace) trace.arguments = [...args];
    if (!known) return Promise.resolve(request.nothing);
    return begin(runtime, request, runOf(runtime, known, { ...request, args: reference.args }, args, trace));
  };
  return isThenable(checked) ? whenChecked(runtime, label, checked, beginWith) : beginWith(checked);
}

/** Begins once asynchronous schemas have checked the arguments, for which closing the application waits. */
function whenChecked<T>(
  { inFlight, failures }: Runtime,
  label: string,
  checking: Promise<readonly unknown[]>,
  beginWith: (args: readonly unknown[]) => Promise<T>,
): Promise<T> {
  let isChecking = true;
  const begun = checking
    .then((args) => {
      isChecking = false;
      if (inFlight.isClosed || inFlight.signal.aborted) throw closed(label);
      // Not awaited here: the error of a callback is no refusal.
      return { run: beginWith(args) };
    })
    .catch((error: unknown): never => {
      failures.refuse(label, error);
      throw error;
    })
    .then(({ run }) => run);
  return inFlight.watch(
    () => (isChecking ? `the schemas of "${label}"` : undefined),
    begun,
    () => {},
  );
}

/**
 * @param passed the arguments as they were passed, before any schema, and what was said of the run
 * @param args the arguments that callbacks get
 * @throws EVENTS_TRANSACTION_OVER, EVENTS_PROPAGATOR_FAILED; what {@link afterInlineOf} throws
 */
function runOf(
  runtime: Runtime,
  event: RegisteredEvent,
  passed: Pick<RunRequest<unknown>, 'args' | 'context' | 'transaction'>,
  args: readonly unknown[],
  trace: RunTrace | undefined,
): Run {
  const { transaction } = passed;
  if (transaction?.isOver) throw transactionOver(event.label, 'has ended', false);
  const about = aboutRun(event, passed.context, runtime.options.propagators);
  const afterInline = afterInlineOf(runtime, event, passed.args, about, transaction);
  if (trace) trace.headers = about.headers ?? NO_HEADERS;
  if (trace && afterInline?.id) trace.id = afterInline.id;
  return { event, args, headers: about.headers ?? NO_HEADERS, request: about.request, transaction, afterInline };
}

function begin<T>(runtime: Runtime, { how, context }: RunRequest<T>, run: Run): Promise<T> {
  const { event, args, transaction } = run;
  const work = () => how(runtime, run);
  // A run inside a tracked one is another event: its callbacks must not see the outer one as theirs.
  const isTracked = context !== undefined || runtime.options.tracksCurrentEvent || currentEvent() !== undefined;
  if (!isTracked && !transaction) return work();
  const current = () => describeRun(runtime.inFlight, event, args, run, transaction);
  return inside(transaction, () => withCurrentEvent(current(), work));
}

/** A transaction that the run was given is that of the runs in its callbacks, too. */
const inside = <T>(transaction: Transaction | undefined, work: () => T): T =>
  transaction === currentTransaction() ? work() : withTransaction(transaction, work);
