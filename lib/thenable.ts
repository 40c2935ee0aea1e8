import { isObservable, lastValueFrom } from 'rxjs';

/** What to wait for before a value counts, as for any Nest handler: a promise, or the last value of an observable. */
export function awaitable(value: unknown): PromiseLike<unknown> | undefined {
  if (value instanceof Promise) return value;
  if (typeof value !== 'object' && typeof value !== 'function') return undefined;
  if (isThenable(value)) return value;
  return typeof value === 'object' && isObservable(value)
    ? lastValueFrom(value, { defaultValue: undefined })
    : undefined;
}

/** Whether a value must be waited for. Reading `then` may throw, as any getter may. */
export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  value instanceof Promise ||
  (((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function');
