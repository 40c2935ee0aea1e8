import { isThenable } from '../async/promises.js';
import { callAndTrace } from '../callbacks/call.js';
import type { RegisteredCallback, RegisteredEvent } from '../callbacks/registered-event.js';
import type { InstanceScope } from '../nest/instance-scope.js';
import { inSavepoint } from '../transactions/current-transaction.js';
import type { Transaction } from '../transactions/transaction.js';
import type { Settled } from './outcome.js';
import type { Runtime } from './runtime.js';

/** A call of one callback. */
export interface CallbackCall {
  readonly callback: RegisteredCallback;
  readonly event: RegisteredEvent;
  readonly args: readonly unknown[];
  readonly scope: InstanceScope | undefined;
}

/**
 * Calls one callback and reports what it throws. Rejects only when the application gives it up, or when its transaction is
 * at fault rather than the callback.
 *
 * @param transaction in which a failure of the callback must not break those after it
 */
export async function settle(
  { inFlight, failures, outsideCalls }: Runtime,
  { callback, event, args, scope }: CallbackCall,
  reachesCaller: boolean,
  transaction?: Transaction,
): Promise<Settled> {
  const since = failures.handedOver;
  const onLateFailure = (error: unknown) => {
    if (!inFlight.isGivenUpBy(error)) failures.report({ event, callback, args, error }, since);
  };
  try {
    const call = () => callAndTrace(callback, event, args, scope);
    const result = transaction ? inSavepoint(transaction, () => outsideCalls.from(event, callback, call)) : call();
    const value = isThenable(result) ? await inFlight.watch(() => callback.id, result, onLateFailure) : result;
    return { status: 'fulfilled', value };
  } catch (reason) {
    if (inFlight.isGivenUpBy(reason) || transaction?.savepoints.isBroken) throw reason;
    failures.report({ event, callback, args, error: reason, reachesCaller }, since);
    return { status: 'rejected', reason };
  }
}
