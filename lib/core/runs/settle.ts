import { apart } from '../transactions/current-transaction.js';
import type { EventsCore } from '../app/shutdown.js';
import { perform, type RegisteredCallback, type RegisteredEvent } from '../callbacks/registered-event.js';
import type { RunScope } from '../nest/instance-scope.js';
import { isThenable } from '../async/promises.js';
import type { Transaction } from '../transactions/transaction.js';

/** What became of one call of a callback. */
export type Settled = { status: 'fulfilled'; value: unknown } | { status: 'rejected'; reason: unknown };

/**
 * Calls one callback and reports what it throws. Rejects only when the application gives it up, or its transaction is at
 * fault rather than the callback.
 *
 * @param transaction in which what the callback breaks must not break those after it
 */
export async function settle(
  { inFlight, failures, outsideCalls }: EventsCore,
  callback: RegisteredCallback,
  event: RegisteredEvent,
  args: readonly unknown[],
  scope: RunScope | undefined,
  reachesCaller: boolean,
  transaction?: Transaction,
): Promise<Settled> {
  const onLateFailure = (late: unknown) => {
    if (!inFlight.isGivenUpBy(late)) failures.report(event, callback, args, late, false);
  };
  try {
    const call = () => perform(callback, event, args, scope);
    const result = transaction ? apart(transaction, () => outsideCalls.from(event, callback, call)) : call();
    const value = isThenable(result) ? await inFlight.watch(() => callback.id, result, onLateFailure) : result;
    return { status: 'fulfilled', value };
  } catch (reason) {
    if (inFlight.isGivenUpBy(reason) || transaction?.parts.isBroken) throw reason;
    failures.report(event, callback, args, reason, reachesCaller);
    return { status: 'rejected', reason };
  }
}
