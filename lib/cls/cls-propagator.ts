import { type ClsService, ClsServiceManager, type ClsStore } from 'nestjs-cls';
import { contextUnfit, showCarried } from '../core/seams.js';
import type { EventHeaders, Propagator } from '../index.js';
import { headerOf, isSaidBy, type Lost, lostIn, valueOf } from './header-value.js';
import { requireKeys } from './required-keys.js';

/** A key that `cls.get()` takes, if it is a string: a name, or a path to what is within a value. */
export type ClsKey<Store extends ClsStore = ClsStore> = Exclude<Parameters<ClsService<Store>['has']>[0], symbol>;

/** The options of `clsPropagator()`. */
export interface ClsPropagatorOptions<Store extends ClsStore = ClsStore> {
  /**
   * The keys of the CLS store that travel, as `tenant`, or `user.id` of what is within. The header of a key is the key in lower
   * case. Headers are stored in the clear: name no secrets.
   */
  readonly keys: readonly ClsKey<Store>[];
}

/**
 * Has durable and after-commit callbacks find in the CLS store what was there when their event was run: in another process, and at
 * each attempt.
 *
 * @typeParam Store the type of the application's store, which has the compiler check the keys
 * @example
 * EventsModule.forRoot({ engine, propagators: [clsPropagator({ keys: ['tenant', 'user.id'] })] })
 * @throws EVENTS_OPTION_INVALID
 */
export function clsPropagator<Store extends ClsStore = ClsStore>(options: ClsPropagatorOptions<Store>): Propagator {
  return new ClsPropagator(requireKeys(options));
}

class ClsPropagator implements Propagator {
  private readonly cls: ClsService<any> = ClsServiceManager.getClsService();

  constructor(private readonly keys: readonly string[]) {}

  /** @throws EVENTS_PROPAGATOR_FAILED */
  inject(headers: Record<string, string>): void {
    for (const key of this.keys) {
      if (headers[nameOf(key)] !== undefined) continue;
      const value: unknown = this.cls.get(key);
      if (value === undefined) continue;
      const lost = lostIn(value, key);
      if (lost) throw unfit(lost);
      headers[nameOf(key)] = headerOf(value);
    }
  }

  /** Around a durable attempt there is no store, and around what waited for a transaction that in which it was opened. */
  run<T>(headers: EventHeaders, work: () => T): T {
    let store: object = { ...this.cls.get() };
    for (const key of this.keys) {
      const header = headers[nameOf(key)];
      if (!isSaidBy(header, this.cls.get(key))) store = withValue(store, key.split('.'), valueOf(header));
    }
    return this.cls.runWith(store, work);
  }
}

const unfit = ({ path, found }: Lost) =>
  contextUnfit(
    `${showCarried(found)} at ${path} in the CLS store, which JSON does not bring back as it is`,
    "Put plain data or an id there, or have less of it travel, as in keys: ['user.id'].",
  );

/** The name of a key's header. */
const nameOf = (key: string) => key.toLowerCase();

/** A store in which a key has another value. The one that it is made of stays as it is, with what is in it. */
function withValue(store: unknown, [name, ...path]: readonly string[], value: unknown): object {
  const holder = typeof store === 'object' && store !== null ? (store as Record<string, unknown>) : {};
  return { ...holder, [name]: path.length === 0 ? value : withValue(holder[name], path, value) };
}
