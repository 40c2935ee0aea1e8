import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * A value that belongs to the code that runs now, whatever it awaits. Asking for it costs something on every run, so nobody
 * asks before the first use.
 */
export class Ambient<T> {
  private readonly storage = new AsyncLocalStorage<T>();
  private isInUse = false;

  get value(): T | undefined {
    return this.isInUse ? this.storage.getStore() : undefined;
  }

  /** Does some work with this value, also in what the work starts. */
  run<R>(value: T, work: () => R): R {
    this.isInUse = true;
    return this.storage.run(value, work);
  }
}
