import { callbackInvalid, show } from './errors.js';
import { nearest } from './near.js';

/** When a callback runs, and who waits for it. See {@link CallbackOptions.delivery}. */
export type Delivery = 'inline' | 'background';

/** Another callback of the same event: by its class (all of that class's), or by its id. */
export type CallbackTarget = string | Function;

export interface CallbackOptions {
  /**
   * The name by which order, logs, outcomes and deliveries know this callback.
   * @default the class and the method, as in `Emails.greetNewUser`
   */
  id?: string;
  /**
   * `'inline'`: `run()` waits for it, and what it throws reaches the caller. `'background'`: `run()` starts it after
   * the inline ones succeeded and does not wait; its failures are reported, and it is lost if the process dies.
   * @default 'inline'
   */
  delivery?: Delivery;
  /**
   * `true`: its failure is reported, and neither reaches the caller nor stops the callbacks after it.
   * @default false
   */
  optional?: boolean;
  /** Runs it before these. A class without a callback of the event, and an unknown id, fail the boot. */
  before?: CallbackTarget | readonly CallbackTarget[];
  /** Runs it after these. A class without a callback of the event, and an unknown id, fail the boot. */
  after?: CallbackTarget | readonly CallbackTarget[];
}

const LATER_DELIVERIES = ['durable', 'after-commit', 'after-rollback'];

/** Whether the vocabulary has this delivery, though this version cannot do it yet: refused at boot. @internal */
export const isLaterDelivery = (delivery: string | undefined): delivery is string =>
  LATER_DELIVERIES.includes(delivery as string);

const CHECKS: { [Option in keyof Required<CallbackOptions>]: [(value: any) => boolean, expected: string] } = {
  id: [(id) => typeof id === 'string' && id !== '', 'Pass a string that is not empty.'],
  delivery: [
    (delivery) => delivery === 'inline' || delivery === 'background' || isLaterDelivery(delivery),
    `Pass 'inline' or 'background'.`,
  ],
  optional: [(optional) => typeof optional === 'boolean', 'Pass true or false.'],
  before: [
    isTarget,
    'Pass a class, a callback id, or an array of them (an import circle makes a class undefined here).',
  ],
  after: [
    isTarget,
    'Pass a class, a callback id, or an array of them (an import circle makes a class undefined here).',
  ],
};

function isTarget(target: unknown): boolean {
  return Array.isArray(target)
    ? target.every(isTarget)
    : (typeof target === 'function' && typeof target.prototype === 'object') ||
        (typeof target === 'string' && target !== '');
}

/** @throws EVENTS_CALLBACK_INVALID @internal */
export function checkCallbackOptions(options: CallbackOptions, callback: string): void {
  if (typeof options !== 'object' || options === null) {
    throw callbackInvalid(callback, `the options ${show(options)}`, 'Pass an object, or leave them out.');
  }
  for (const [option, value] of Object.entries(options) as [keyof CallbackOptions, unknown][]) {
    const check = Object.hasOwn(CHECKS, option) ? CHECKS[option] : undefined;
    if (!check) {
      const near = nearest(option, Object.keys(CHECKS));
      throw callbackInvalid(
        callback,
        `the option ${option}: ${show(value)}, which @Callback() does not have`,
        near ? `Did you mean "${near}"?` : `It has ${Object.keys(CHECKS).join(', ')}.`,
      );
    }
    const [isValid, expected] = check;
    if (!isValid(value) && !(value === undefined && option !== 'before' && option !== 'after')) {
      throw callbackInvalid(callback, `${option}: ${show(value)}`, expected);
    }
  }
}
