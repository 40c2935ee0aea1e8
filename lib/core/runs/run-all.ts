import { handled } from '../async/promises.js';
import { scopeOf } from '../callbacks/current-event.js';
import type { RegisteredCallback, RegisteredEvent } from '../callbacks/registered-event.js';
import { severalFailed } from '../errors/run-errors.js';
import type { InstanceScope } from '../nest/instance-scope.js';
import type { Outcome, Settled } from './outcome.js';
import { aboutOf, type Around, RunInOrder } from './run-in-order.js';
import type { Runtime } from './runtime.js';
import { settle } from './settle.js';

/** A run of an event whose arguments are checked. */
export interface Run extends Around {
  readonly event: RegisteredEvent;
  readonly args: readonly unknown[];
}

/** A way to run an event. */
export type How<T> = (runtime: Runtime, run: Run) => Promise<T>;

/** `run()`: one after another, the first failure stops. */
export const runInOrder: How<void> = (runtime, run) => new RunInOrder(runtime, run.event, run.args, run).start();

/** `runSettled()`: one after another, whatever fails. */
export const runSettled: How<Outcome[]> = (runtime, run) =>
  handled(runtime.inFlight.follow(collectOutcomes(runtime, run)));

async function collectOutcomes(runtime: Runtime, run: Run): Promise<Outcome[]> {
  const { event, args, transaction } = run;
  const scope = scopeOf(runtime.inFlight, event, args, run);
  const outcomes: Outcome[] = [];
  for (const callback of event.inline) {
    const startedAt = performance.now();
    const result = await settle(runtime, { callback, event, args, scope }, true, transaction);
    outcomes.push({ callback: callback.id, ...result, durationMs: performance.now() - startedAt });
  }
  outcomes.push(...(await follow(runtime, run, scope, true)));
  for (const callback of event.background) {
    const startedAt = performance.now();
    runtime.background.accept(callback, event, args, aboutOf(run));
    outcomes.push({ callback: callback.id, status: 'started', durationMs: performance.now() - startedAt });
  }
  for (const outcome of outcomes) if (outcome.status === 'rejected') runtime.failures.handOver(outcome.reason);
  return outcomes;
}

/** `runParallel()`: all at once; in a transaction, which is one connection, one after another. */
export const runInParallel: How<void> = (runtime, run) => handled(runtime.inFlight.follow(waitForAll(runtime, run)));

async function waitForAll(runtime: Runtime, run: Run): Promise<void> {
  const { event, args, transaction } = run;
  const scope = scopeOf(runtime.inFlight, event, args, run);
  const begin = (callback: RegisteredCallback) =>
    settle(runtime, { callback, event, args, scope }, !callback.isOptional, transaction);
  const results = transaction ? await oneByOne(event.inline, begin) : await Promise.all(event.inline.map(begin));
  const failed = event.inline.flatMap((callback, index) => {
    const result = results[index];
    return result.status === 'rejected' && !callback.isOptional ? [{ id: callback.id, reason: result.reason }] : [];
  });
  if (failed.length > 0) {
    const [ids, reasons] = [failed.map(({ id }) => id), failed.map(({ reason }) => reason)];
    const error = failed.length === 1 ? reasons[0] : severalFailed(event.label, ids, reasons);
    runtime.failures.handOver(error);
    throw error;
  }
  await follow(runtime, run, scope, false);
  runtime.background.start(event, args, aboutOf(run));
}

async function oneByOne(
  callbacks: readonly RegisteredCallback[],
  begin: (callback: RegisteredCallback) => Promise<Settled>,
): Promise<Settled[]> {
  const all: Settled[] = [];
  for (const callback of callbacks) all.push(await begin(callback));
  return all;
}

/** Does what follows the inline callbacks. A failure there is not a callback's doing: the run rejects with it. */
async function follow(
  { inFlight, failures }: Runtime,
  { event, args, afterInline }: Run,
  scope: InstanceScope | undefined,
  tellsCaller: boolean,
): Promise<readonly Outcome[]> {
  if (!afterInline) return [];
  const following = afterInline.begin(args, scope, tellsCaller).catch((error: unknown) => {
    if (!inFlight.isGivenUpBy(error)) failures.refuse(event.label, error);
    throw error;
  });
  try {
    return await inFlight.watch(
      () => afterInline.waitsFor,
      following,
      () => {},
    );
  } catch (error) {
    throw inFlight.isGivenUpBy(error) ? afterInline.givenUpWith(error) : error;
  }
}
