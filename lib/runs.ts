import { severalFailed } from './errors.js';
import type { EventsCore } from './events-core.js';
import { handled } from './in-flight.js';
import { perform, type RegisteredCallback, type RegisteredEvent } from './registered-event.js';
import { RunInOrder } from './run-in-order.js';
import { type RunScope, scopeOf } from './run-scope.js';
import type { Storing } from './storing.js';
import { isThenable } from './thenable.js';

/** What became of one callback in `runSettled()`. */
export type Outcome = {
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  /** How long it took, in milliseconds; for `'stored'` and `'started'`, how long storing or starting it took. */
  readonly durationMs: number;
} & (
  | { readonly status: 'fulfilled'; /** What it returned. */ readonly value: unknown }
  | { readonly status: 'rejected'; /** What it threw. */ readonly reason: unknown }
  /** A durable callback: its delivery will be worked on. */
  | { readonly status: 'stored' }
  /** A background callback: what becomes of it is reported, not returned. */
  | { readonly status: 'started' }
);

type Run = [
  core: EventsCore,
  event: RegisteredEvent,
  args: readonly unknown[],
  request: object | undefined,
  storing: Storing | undefined,
];

/** A way to run an event, once its arguments are checked. */
export type How<T> = (...run: Run) => Promise<T>;

/** `run()`: one after another, the first failure stops. */
export const runInOrder: How<void> = (core, event, args, request, storing) =>
  new RunInOrder(core, event, args, request, storing).start();

/** `runSettled()`: one after another, whatever fails. */
export const runSettled: How<Outcome[]> = (...run) => handled(collectOutcomes(...run));

async function collectOutcomes(...[core, event, args, request, storing]: Run): Promise<Outcome[]> {
  const scope = scopeOf(core, event, args, request);
  const outcomes: Outcome[] = [];
  for (const callback of event.inline) {
    const startedAt = performance.now();
    const result = await settle(core, callback, event, args, scope, true);
    outcomes.push({ callback: callback.id, ...result, durationMs: performance.now() - startedAt });
  }
  const storedAt = performance.now();
  await store(core, event, storing);
  for (const { id } of event.durable) {
    outcomes.push({ callback: id, status: 'stored', durationMs: performance.now() - storedAt });
  }
  for (const callback of event.background) {
    const startedAt = performance.now();
    core.background.accept(callback, event, args, request);
    outcomes.push({ callback: callback.id, status: 'started', durationMs: performance.now() - startedAt });
  }
  return outcomes;
}

/** `runParallel()`: all at once. */
export const runInParallel: How<void> = (...run) => handled(waitForAll(...run));

async function waitForAll(...[core, event, args, request, storing]: Run): Promise<void> {
  const scope = scopeOf(core, event, args, request);
  const results = await Promise.all(
    event.inline.map((callback) => settle(core, callback, event, args, scope, !callback.isOptional)),
  );
  const failed = event.inline.flatMap((callback, index) => {
    const result = results[index];
    return result.status === 'rejected' && !callback.isOptional ? [{ id: callback.id, reason: result.reason }] : [];
  });
  if (failed.length === 1) throw failed[0].reason;
  if (failed.length > 1) {
    const [ids, reasons] = [failed.map(({ id }) => id), failed.map(({ reason }) => reason)];
    throw severalFailed(event.label, ids, reasons);
  }
  await store(core, event, storing);
  core.background.start(event, args, request);
}

/** What goes wrong here is not a callback's doing: the run rejects with it. */
async function store({ inFlight, failures }: EventsCore, { label }: RegisteredEvent, storing?: Storing): Promise<void> {
  if (!storing) return;
  const stored = storing.store().catch((error: unknown) => {
    failures.refuse(label, error);
    throw error;
  });
  await inFlight.watch(
    () => storing.waitsFor,
    stored,
    () => {},
  );
}

type Settled = { status: 'fulfilled'; value: unknown } | { status: 'rejected'; reason: unknown };

/** Calls one callback and reports what it throws. Rejects only when the application gives it up. */
async function settle(
  { inFlight, failures }: EventsCore,
  callback: RegisteredCallback,
  event: RegisteredEvent,
  args: readonly unknown[],
  scope: RunScope | undefined,
  reachesCaller: boolean,
): Promise<Settled> {
  const onLateFailure = (late: unknown) => {
    if (!inFlight.isGivenUpBy(late)) failures.report(event, callback, args, late, false);
  };
  try {
    const result = perform(callback, event, args, scope);
    const value = isThenable(result) ? await inFlight.watch(() => callback.id, result, onLateFailure) : result;
    return { status: 'fulfilled', value };
  } catch (reason) {
    if (inFlight.isGivenUpBy(reason)) throw reason;
    failures.report(event, callback, args, reason, reachesCaller);
    return { status: 'rejected', reason };
  }
}
