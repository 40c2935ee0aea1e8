import { ConfigurableModuleBuilder } from '@nestjs/common';
import {
  type CompleteDurableOptions,
  completeDurableOptions,
  DURABLE_CHECKS,
  type DurableOptions,
} from './durable.options.js';
import type { EngineFactory } from '../engine/engine.js';
import { optionInvalid } from '../errors/callback-errors.js';
import type { CallbackFailure } from './callback-failure.js';
import type { EventsTestHooks } from './test-hooks.js';
import { type Check, type Checks, IS_BOOLEAN, isCount, isObject, wrongOption } from './option-checks.js';
import { completeRemote, type CompleteRemote, type RemoteCallback } from './remote.options.js';
import { type DeliveryCodec, requireCodec } from './codec.options.js';
import { type Propagator, requirePropagators } from './propagator.options.js';
import { nestedHooks, type WorkHooks } from './work-hooks.js';
import { LONGEST_TIMER_MS } from '../async/timers.js';

/** The options that `EventsModule.forRoot()` takes. You can leave out each of them. */
export interface EventsOptions {
  /**
   * `true`: running an event that no callback answers is an error, `EVENTS_NOBODY_ANSWERS`. Otherwise the first such
   * run of each event warns, outside production (`NODE_ENV`).
   * @default false
   */
  strict?: boolean;
  /**
   * How long closing the application waits in all for runs and background work to finish, in milliseconds. Whatever is
   * still pending then is rejected with `EVENTS_SHUTDOWN_TIMEOUT`: a fifth of it earlier, and a second at most, where an engine
   * has to write down how that ended.
   * @default 10_000
   */
  shutdownTimeout?: number;
  /**
   * How long starting the application waits in all for the engine, in milliseconds. If it is not there by then, the start fails.
   * After five seconds a line of the log says what is waited for.
   * @default 30_000
   */
  startTimeout?: number;
  /**
   * Is told of every failure of a callback, after the log and the diagnostics channel: for an error tracker. A failure that
   * passes through runs within runs is told for each callback that it passes, with the same error. If it throws itself, that
   * is logged.
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
   * Stores the deliveries of durable callbacks: `postgres({ connectionString })` of `nestjs-callbacks/postgres`, say. Each
   * start of the application makes an engine of its own.
   * @default none
   */
  engine?: EngineFactory;
  /**
   * `false`: this instance stores durable deliveries, and leaves the work on them to other instances. Use it for web servers
   * beside workers.
   * @default true
   */
  work?: boolean;
  /**
   * Durable callbacks of other applications that share the store: this one stores what it runs for them, and those perform it.
   * Their deliveries are in `counts()` and `list()`, too.
   * @default none
   */
  remote?: readonly RemoteCallback[];
  /**
   * Carry what the application keeps in async context, a tenant say, to callbacks that are called later: by headers, to each
   * attempt, in any process. The first is the outermost.
   * @default none
   */
  propagators?: readonly Propagator[];
  /**
   * Changes the arguments of durable deliveries, and the texts of their errors, to what is stored in their place: an encryption, say.
   * All instances need the same. The log names such an error without its text.
   * @default none
   */
  codec?: DeliveryCodec;
  /** Sets the defaults of durable callbacks. */
  durable?: DurableOptions;
  /**
   * `true`: `currentEvent()` answers in every callback. Otherwise only in runs made through `with()`, since an async
   * context makes every `await` of the application slower on Node 20.
   * @default false
   */
  tracksCurrentEvent?: boolean;
  /**
   * `true`: a line of the log names each inline callback that calls somebody by HTTP, or asks the engine, while the
   * transaction of its run is open and waits for the answer. For development: every `await` costs more.
   * @default false
   */
  reportsOutsideCalls?: boolean;
  /**
   * `true`: the guards, interceptors, pipes and filters of the whole application apply to callbacks too. They must be
   * able to tell an event from a request: see `switchToEvent()`.
   * @default false
   */
  appliesGlobalEnhancers?: boolean;
}

/** The options with their defaults filled in. */
export type CompleteOptions = Required<
  Omit<EventsOptions, 'background' | 'durable' | 'onError' | 'engine' | 'remote' | 'codec'>
> & {
  readonly background: Required<NonNullable<EventsOptions['background']>>;
  readonly durable: CompleteDurableOptions;
  readonly remote: readonly CompleteRemote[];
  readonly onError?: EventsOptions['onError'];
  readonly engine?: EngineFactory;
  readonly codec?: DeliveryCodec;
  readonly hooks?: EventsTestHooks;
  readonly around: WorkHooks;
};

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN: EVENTS_OPTIONS } =
  new ConfigurableModuleBuilder<EventsOptions>({ moduleName: 'Events' }).setClassMethodName('forRoot').build();

/** The token of the options, as they were {@link Provided}. */
export const EVENTS_OPTIONS_PROVIDED = Symbol('EVENTS_OPTIONS_PROVIDED');

/** The token of {@link CompleteOptions}. */
export const EVENTS_SETTINGS = Symbol('EVENTS_SETTINGS');

const IS_WAIT: Check = {
  isValid: (value) => typeof value === 'number' && value >= 0 && value <= LONGEST_TIMER_MS,
  expected: `Pass milliseconds, from 0 to ${LONGEST_TIMER_MS}.`,
};

const CHECKS: Checks = {
  strict: IS_BOOLEAN,
  shutdownTimeout: IS_WAIT,
  startTimeout: {
    isValid: (value) => IS_WAIT.isValid(value) && value >= 1,
    expected: `Pass milliseconds, from 1 to ${LONGEST_TIMER_MS}.`,
  },
  onError: { isValid: (value) => typeof value === 'function', expected: 'Pass a function of a failure.' },
  background: isObject('Pass { concurrency, maxQueued }.'),
  'background.concurrency': isCount(1),
  'background.maxQueued': isCount(0),
  engine: {
    isValid: (value) => typeof value === 'function',
    expected: `Pass what makes one, as in engine: postgres({ connectionString }) of 'nestjs-callbacks/postgres'.`,
  },
  work: IS_BOOLEAN,
  remote: { isValid: Array.isArray, expected: 'Pass an array of { event, callback, ordered }.' },
  propagators: { isValid: Array.isArray, expected: 'Pass an array of { inject, run }.' },
  codec: isObject('Pass { encode(json), decode(text) }.'),
  durable: isObject('Pass { retry, timeoutMs, concurrency }.'),
  ...Object.fromEntries(Object.entries(DURABLE_CHECKS).map(([option, check]) => [`durable.${option}`, check])),
  tracksCurrentEvent: IS_BOOLEAN,
  reportsOutsideCalls: IS_BOOLEAN,
  appliesGlobalEnhancers: IS_BOOLEAN,
};

/**
 * Refuses what is wrong and fills in the rest.
 *
 * @throws EVENTS_OPTION_INVALID
 */
export function completeOptions(
  options: EventsOptions = {},
  hooks?: EventsTestHooks,
  watching?: WorkHooks,
): CompleteOptions {
  if (typeof options !== 'object' || options === null) {
    throw optionInvalid('options', options, 'Pass an object, or leave it out.');
  }
  const wrong = wrongOption(options, CHECKS);
  if (wrong) throw optionInvalid(wrong.option, wrong.value, wrong.remedy, wrong.isKnown);
  return {
    strict: options.strict ?? false,
    shutdownTimeout: options.shutdownTimeout ?? 10_000,
    startTimeout: options.startTimeout ?? 30_000,
    onError: options.onError,
    background: {
      concurrency: options.background?.concurrency ?? 100,
      maxQueued: options.background?.maxQueued ?? 10_000,
    },
    engine: hooks?.engine ? hooks.engine(options.engine) : options.engine,
    work: hooks?.works ?? options.work ?? true,
    remote: completeRemote(options.remote),
    propagators: requirePropagators(options.propagators ?? []),
    codec: requireCodec(options.codec),
    durable: completeDurableOptions(options.durable),
    tracksCurrentEvent: options.tracksCurrentEvent ?? false,
    reportsOutsideCalls: options.reportsOutsideCalls ?? false,
    appliesGlobalEnhancers: options.appliesGlobalEnhancers ?? false,
    hooks,
    around: nestedHooks(watching, hooks?.around),
  };
}
