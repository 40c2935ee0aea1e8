import { types } from 'node:util';
import { iteratorReturned } from '../errors/callback-errors.js';
import { isObservable, lastValueFrom } from 'rxjs';

/**
 * The promise to wait for before a value counts, as for any Nest handler: the value itself, or the last value of an
 * observable.
 *
 * @throws EVENTS_NOT_A_METHOD for what a generator returns: nothing of it has run, and nobody would ask it to
 */
export function awaitable(value: unknown): PromiseLike<unknown> | undefined {
  if (value instanceof Promise) return value;
  if (typeof value !== 'object' && typeof value !== 'function') return undefined;
  if (isThenable(value)) return value;
  if (typeof value !== 'object' || value === null) return undefined;
  if (isObservable(value)) return lastValueFrom(value, { defaultValue: undefined });
  if (isOfGenerator(value)) throw iteratorReturned();
  return undefined;
}

/** Whether a generator returned it; also one that is compiled down, of which only the methods tell. */
function isOfGenerator(value: object): boolean {
  const { next, return: end, throw: fail } = value as Record<string, unknown>;
  if (typeof next !== 'function' || typeof end !== 'function' || typeof fail !== 'function') return false;
  return (Symbol.iterator in value || Symbol.asyncIterator in value) && !types.isProxy(value);
}

/** Whether a value must be waited for. Reading `then` may throw, as any getter may. */
export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  value instanceof Promise ||
  (((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function');

const { then } = Promise.prototype;

/**
 * Tells one of the two, once, as `await` does: also of a thenable that calls back twice, and without asking a promise
 * for a `then` of its own. A usual promise is asked directly, which V8 can inline: a tenth of a run.
 */
export function whenSettled<T>(
  work: PromiseLike<T>,
  onValue: (value: T) => void,
  onFailure: (error: unknown) => void,
): void {
  const usual = work as Promise<T>;
  try {
    if (usual.constructor === Promise && usual.then === then) {
      void usual.then(onValue, onFailure);
      return;
    }
  } catch {
    // It only looks like a promise, as a proxy of one does.
  }
  void then.call(promiseOf(work), onValue as (value: unknown) => void, onFailure);
}

function promiseOf<T>(work: PromiseLike<T>): Promise<T> {
  try {
    return Promise.resolve(work);
  } catch {
    return new Promise((resolve) => resolve(work));
  }
}

const ignore = () => {};

/** Marks a promise as handled, so that a caller who forgot to await it does not lose the process. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(ignore);
  return promise;
}
