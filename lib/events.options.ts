import { ConfigurableModuleBuilder } from '@nestjs/common';
import { optionInvalid, optionUnknown } from './errors.js';
import type { CallbackFailure } from './failures.js';
import { nearest } from './near.js';

/** What `EventsModule.forRoot()` takes. All of it is optional. */
export interface EventsOptions {
  /**
   * `true`: running an event that no callback answers is an error, `EVENTS_NOBODY_ANSWERS`. Otherwise the first such
   * run of each event warns, outside production (`NODE_ENV`).
   * @default false
   */
  strict?: boolean;
  /**
   * How long closing the application waits, in milliseconds and in all, for runs and background work to finish. What
   * is still pending then is rejected with `EVENTS_SHUTDOWN_TIMEOUT`.
   * @default 10_000
   */
  shutdownTimeout?: number;
  /**
   * Is told of every failure of a callback, after the log and the diagnostics channel: for an error tracker. What it
   * throws itself is logged.
   * @default nothing
   */
  onError?: (failure: CallbackFailure) => unknown;
  /** Bounds for callbacks with `delivery: 'background'`, for the whole application. */
  background?: {
    /**
     * How many run at the same time.
     * @default 100
     */
    concurrency?: number;
    /**
     * How many may wait for their turn. More are dropped, and each is reported with `EVENTS_BACKGROUND_FULL`.
     * @default 10_000
     */
    maxQueued?: number;
  };
  /**
   * `true`: `currentEvent()` answers in every callback. Otherwise only in runs made through `with()`, since an async
   * context makes every `await` of the application slower on Node 20.
   * @default false
   */
  tracksCurrentEvent?: boolean;
  /**
   * `true`: the guards, interceptors, pipes and filters of the whole application apply to callbacks too. They must be
   * able to tell an event from a request: see `switchToEvent()`.
   * @default false
   */
  appliesGlobalEnhancers?: boolean;
}

/** The options with their defaults filled in. @internal */
export type CompleteOptions = Required<Omit<EventsOptions, 'background' | 'onError'>> & {
  readonly background: Required<NonNullable<EventsOptions['background']>>;
  readonly onError?: EventsOptions['onError'];
};

/** @internal */
export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN: EVENTS_OPTIONS } =
  new ConfigurableModuleBuilder<EventsOptions>({ moduleName: 'Events' }).setClassMethodName('forRoot').build();

/** The token of {@link CompleteOptions}. @internal */
export const EVENTS_SETTINGS = Symbol('EVENTS_SETTINGS');

const isBoolean = (value: unknown) => typeof value === 'boolean';
const isCount = (least: number) => (value: unknown) => Number.isSafeInteger(value) && (value as number) >= least;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

type Check = [isValid: (value: unknown) => boolean, expected: string];

const CHECKS: Record<string, Check> = {
  strict: [isBoolean, 'pass true or false'],
  shutdownTimeout: [
    (value) => typeof value === 'number' && value >= 0 && value <= MAX_TIMEOUT_MS,
    `pass milliseconds, from 0 to ${MAX_TIMEOUT_MS}`,
  ],
  onError: [(value) => typeof value === 'function', 'pass a function of a failure'],
  background: [(value) => typeof value === 'object' && value !== null, 'pass { concurrency, maxQueued }'],
  'background.concurrency': [isCount(1), 'pass a whole number, 1 or more'],
  'background.maxQueued': [isCount(0), 'pass a whole number, 0 or more'],
  tracksCurrentEvent: [isBoolean, 'pass true or false'],
  appliesGlobalEnhancers: [isBoolean, 'pass true or false'],
};

/**
 * Refuses what is wrong and fills in the rest.
 *
 * @throws EVENTS_OPTION_INVALID @internal
 */
export function completeOptions(options: EventsOptions = {}): CompleteOptions {
  if (typeof options !== 'object' || options === null) {
    throw optionInvalid('options', options, 'pass an object, or leave it out');
  }
  checkFields(options, '');
  if (options.background) checkFields(options.background, 'background.');
  return {
    strict: options.strict ?? false,
    shutdownTimeout: options.shutdownTimeout ?? 10_000,
    onError: options.onError,
    background: {
      concurrency: options.background?.concurrency ?? 100,
      maxQueued: options.background?.maxQueued ?? 10_000,
    },
    tracksCurrentEvent: options.tracksCurrentEvent ?? false,
    appliesGlobalEnhancers: options.appliesGlobalEnhancers ?? false,
  };
}

function checkFields(fields: object, prefix: string): void {
  for (const [field, value] of Object.entries(fields)) {
    const option = prefix + field;
    if (!Object.hasOwn(CHECKS, option)) throw optionUnknown(option, value, nearest(option, Object.keys(CHECKS)));
    const [isValid, expected] = CHECKS[option];
    if (value !== undefined && !isValid(value)) throw optionInvalid(option, value, expected);
  }
}
