import { DURABLE_CHECKS, type DurableOptions } from './durable.options.js';
import { callbackInvalid } from '../errors/callback-errors.js';
import { nearest } from '../errors/did-you-mean.js';
import { show } from '../errors/describe.js';
import { LIMITS_CHECKS, type LimitsOptions, senselessLimits } from './limits.options.js';
import { type Check, type Checks, IS_BOOLEAN, wrongOption } from './option-checks.js';

/** Says when a callback runs, and who waits for it. See {@link CallbackOptions.delivery}. */
export type DeliveryMode = 'inline' | 'background' | 'after-commit' | 'after-rollback' | 'durable';

/** Another callback of the same event: by its class (all of that class's), or by its id. */
export type CallbackTarget = string | Function;

/**
 * The options of `@Callback()`. `ordered`, `formerly`, `limits` and those of {@link DurableOptions} are for durable callbacks
 * only.
 */
export interface CallbackOptions extends DurableOptions {
  /**
   * The name by which order, logs, outcomes and deliveries know this callback.
   * @default the class and the method, as in `Emails.greetNewUser`
   */
  id?: string;
  /**
   * `'inline'`: `run()` waits for it, and what it throws reaches the caller. `'durable'`: `run()` waits until its
   * delivery is stored, after the inline ones succeeded; it survives a crash, is tried again when it fails, and any
   * instance of the application may work on it. `'after-commit'`, `'after-rollback'`: called when the transaction that
   * the event was run in has ended so, which waits for it; its failures are reported. Without a transaction the one comes
   * after the inline ones, and the other never. `'background'`: `run()` starts it last and does not wait; its failures are
   * reported, and it is lost if the process dies.
   * @default 'inline'
   */
  delivery?: DeliveryMode;
  /**
   * `true`: its failure is reported, and neither reaches the caller nor stops the callbacks after it. In a transaction of
   * Postgres it runs in a savepoint: what it wrote is undone, and the rest is not.
   * @default false
   */
  optional?: boolean;
  /** Runs it before these. A class without a callback of the event, and an unknown id, fail the boot. */
  before?: CallbackTarget | readonly CallbackTarget[];
  /** Runs it after these. A class without a callback of the event, and an unknown id, fail the boot. */
  after?: CallbackTarget | readonly CallbackTarget[];
  /**
   * `true`: deliveries of one `key` come one at a time, in the order in which they were stored, retries included; each
   * run must say its key, as in `events.with({ key: order.id }).run(…)`. One that is dead holds up its key until it is
   * retried or discarded.
   * @default false
   */
  ordered?: boolean;
  /**
   * Ids that the callback had before it was renamed: what waits or is dead under them becomes its own.
   * @default none
   */
  formerly?: string | readonly string[];
  /**
   * How many attempts all instances together make, as in `{ rate: { limit: 10, perMs: 1_000 }, running: 5, groupBy: 'tenant',
   * runningPerGroup: 2 }`. `concurrency` is of each instance. What a limit holds up waits, and no attempt is charged for that.
   * @default none
   */
  limits?: LimitsOptions;
}

const DELIVERIES: readonly string[] = ['inline', 'background', 'after-commit', 'after-rollback', 'durable'];

const isName = (value: unknown) => typeof value === 'string' && value !== '';

const IS_TARGET: Check = {
  isValid: isTarget,
  expected: 'Pass a class, a callback id, or an array of them (an import circle makes a class undefined here).',
  refusesUndefined: true,
};

const ONLY_DURABLE: Checks = {
  ...DURABLE_CHECKS,
  ordered: IS_BOOLEAN,
  formerly: {
    isValid: (value) => isName(value) || (Array.isArray(value) && value.every(isName)),
    expected: 'Pass a callback id, or an array of them.',
  },
  ...LIMITS_CHECKS,
};

const CHECKS: Checks = {
  id: { isValid: isName, expected: 'Pass a string that is not empty.' },
  delivery: {
    isValid: (delivery: string) => DELIVERIES.includes(delivery),
    expected: `Pass 'inline', 'background', 'after-commit', 'after-rollback' or 'durable'.`,
  },
  optional: IS_BOOLEAN,
  before: IS_TARGET,
  after: IS_TARGET,
  ...ONLY_DURABLE,
};

function isTarget(target: unknown): boolean {
  return Array.isArray(target)
    ? target.every(isTarget)
    : (typeof target === 'function' && typeof target.prototype === 'object') || isName(target);
}

function remedyFor(options: unknown): string {
  const delivery = DELIVERIES.find((known) => known === options) ?? nearest(String(options), DELIVERIES);
  if (typeof options !== 'string') return 'Pass an object, or leave them out.';
  if (delivery) return `Write { delivery: '${delivery}' }.`;
  return 'Pass an object, or leave them out; for several events stack one @Callback() per event.';
}

/** @throws EVENTS_CALLBACK_INVALID */
export function checkCallbackOptions(options: CallbackOptions, callback: string): void {
  if (typeof options !== 'object' || options === null) {
    throw callbackInvalid(callback, `the options ${show(options)}`, remedyFor(options));
  }
  const wrong = wrongOption(options, CHECKS);
  if (wrong) {
    const found = `${wrong.option}: ${show(wrong.value)}`;
    throw wrong.isKnown
      ? callbackInvalid(callback, found, wrong.remedy)
      : callbackInvalid(callback, `the option ${found}, which @Callback() does not have`, wrong.remedy);
  }
  const useless = Object.keys(options).find((option) => Object.hasOwn(ONLY_DURABLE, option));
  if (useless && options.delivery !== 'durable') {
    throw callbackInvalid(
      callback,
      `the option ${useless}, but delivery '${options.delivery ?? 'inline'}'`,
      `Only deliveries that are stored have it: add delivery: 'durable', or remove it.`,
    );
  }
  const senseless = options.limits && senselessLimits(options.limits, options.ordered ?? false);
  if (senseless) throw callbackInvalid(callback, ...senseless);
}
