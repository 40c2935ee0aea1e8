import { severalFailed } from '../errors/run-errors.js';
import type { EventsCore } from '../app/shutdown.js';
import { handled } from '../async/in-flight.js';
import type { Afterwards } from './after-inline.js';
import type { RegisteredCallback, RegisteredEvent } from '../callbacks/registered-event.js';
import { RunInOrder } from './run-in-order.js';
import { type RunScope, scopeOf } from '../nest/instance-scope.js';
import { settle, type Settled } from './settle.js';
import type { Transaction } from '../transactions/transaction.js';

/**
 * What became of one callback in `runSettled()`. There is none of an `'after-rollback'` callback outside a transaction, as
 * nothing can become of that.
 */
export type Outcome = {
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  /** How long it took, in milliseconds; for `'stored'` and `'started'`, how long storing or starting it took; for `'held'` 0. */
  readonly durationMs: number;
} & (
  | Settled
  /** A durable callback: its delivery will be worked on. */
  | { readonly status: 'stored' }
  /** It waits for the end of the transaction: what becomes of it is reported, not returned. */
  | { readonly status: 'held' }
  /** A background callback: what becomes of it is reported, not returned. */
  | { readonly status: 'started' }
);

type Run = [
  core: EventsCore,
  event: RegisteredEvent,
  args: readonly unknown[],
  request: object | undefined,
  transaction: Transaction | undefined,
  afterwards: Afterwards | undefined,
];

/** A way to run an event, once its arguments are checked. */
export type How<T> = (...run: Run) => Promise<T>;

/** `run()`: one after another, the first failure stops. */
export const runInOrder: How<void> = (core, event, args, request, transaction, afterwards) =>
  new RunInOrder(core, event, args, request, transaction, afterwards).start();

/** `runSettled()`: one after another, whatever fails. */
export const runSettled: How<Outcome[]> = (...run) => handled(run[0].inFlight.follow(collectOutcomes(...run)));

async function collectOutcomes(...[core, event, args, request, transaction, afterwards]: Run): Promise<Outcome[]> {
  const scope = scopeOf(core, event, args, request);
  const outcomes: Outcome[] = [];
  for (const callback of event.inline) {
    const startedAt = performance.now();
    const result = await settle(core, callback, event, args, scope, true, transaction);
    outcomes.push({ callback: callback.id, ...result, durationMs: performance.now() - startedAt });
  }
  outcomes.push(...(await follow(core, event, args, scope, afterwards, true)));
  for (const callback of event.background) {
    const startedAt = performance.now();
    core.background.accept(callback, event, args, request);
    outcomes.push({ callback: callback.id, status: 'started', durationMs: performance.now() - startedAt });
  }
  return outcomes;
}

/** `runParallel()`: all at once; in a transaction, which is one connection, one after another. */
export const runInParallel: How<void> = (...run) => handled(run[0].inFlight.follow(waitForAll(...run)));

async function waitForAll(...[core, event, args, request, transaction, afterwards]: Run): Promise<void> {
  const scope = scopeOf(core, event, args, request);
  const results = transaction ? await oneByOne(begin) : await Promise.all(event.inline.map(begin));
  const failed = event.inline.flatMap((callback, index) => {
    const result = results[index];
    return result.status === 'rejected' && !callback.isOptional ? [{ id: callback.id, reason: result.reason }] : [];
  });
  if (failed.length === 1) throw failed[0].reason;
  if (failed.length > 1) {
    const [ids, reasons] = [failed.map(({ id }) => id), failed.map(({ reason }) => reason)];
    throw severalFailed(event.label, ids, reasons);
  }
  await follow(core, event, args, scope, afterwards, false);
  core.background.start(event, args, request);

  function begin(callback: RegisteredCallback): Promise<Settled> {
    return settle(core, callback, event, args, scope, !callback.isOptional, transaction);
  }

  async function oneByOne(call: typeof begin): Promise<Settled[]> {
    const all: Settled[] = [];
    for (const callback of event.inline) all.push(await call(callback));
    return all;
  }
}

/** What goes wrong here is not a callback's doing: the run rejects with it. */
async function follow(
  { inFlight, failures }: EventsCore,
  { label }: RegisteredEvent,
  args: readonly unknown[],
  scope: RunScope | undefined,
  afterwards: Afterwards | undefined,
  tellsCaller: boolean,
): Promise<readonly Outcome[]> {
  if (!afterwards) return [];
  const following = afterwards.begin(args, scope, tellsCaller).catch((error: unknown) => {
    if (!inFlight.isGivenUpBy(error)) failures.refuse(label, error);
    throw error;
  });
  try {
    return await inFlight.watch(
      () => afterwards.waitsFor,
      following,
      () => {},
    );
  } catch (error) {
    throw inFlight.isGivenUpBy(error) ? afterwards.givenUpWith(error) : error;
  }
}
