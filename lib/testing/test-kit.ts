import { randomInt } from 'node:crypto';
import { type OptionCheck, requireOptions } from '../engine/index.js';
import { type EventsTestHooks, IS_BOOLEAN } from '../core/seams.js';
import { VirtualClock } from './memory/clock.js';
import { deliveredTwice } from './deliver-twice.js';
import { memoryEngine } from './memory/memory-engine.js';
import { MemoryStore } from './memory/memory-store.js';
import { shuffled } from './shuffle.js';
import { StandIns } from './stand-ins.js';
import { testingProblem } from './testing-errors.js';

/** The options of `TestEventsModule.forRoot()`. All are optional. */
export interface TestEventsOptions {
  /**
   * `true`, or a seed: callbacks run in an order that chance or the seed decides. That finds callbacks which depend on the
   * order of modules without saying so. `before` and `after` still hold. A seed chosen by chance is printed.
   * @default false
   */
  readonly shuffle?: boolean | number;
  /**
   * `true`: every durable delivery is performed a second time after it has succeeded, as happens when an instance dies.
   * That finds callbacks which do twice what should be done once.
   * @default false
   */
  readonly deliversTwice?: boolean;
  /**
   * `true`: deliveries are stored by the engine of the application's options, and become due by the real time. Otherwise
   * they are kept in memory, performed by this application whatever `work` says, and their time passes when the test says so.
   * @default false
   */
  readonly keepsEngine?: boolean;
}

const CHECKS: Record<keyof TestEventsOptions, OptionCheck> = {
  shuffle: {
    isValid: (value) => typeof value === 'boolean' || Number.isSafeInteger(value),
    expected: 'Pass true, or the seed that was printed, a whole number.',
  },
  deliversTwice: IS_BOOLEAN,
  keepsEngine: IS_BOOLEAN,
};

/** Turns the options of a test into what the application under test does differently. */
export class TestKit {
  readonly standIns = new StandIns();
  /** Where deliveries are kept, and by which time; absent when the application keeps its engine. */
  readonly memory: { readonly store: MemoryStore; readonly clock: VirtualClock } | undefined;
  readonly hooks: EventsTestHooks;
  /** Is called when the application is complete. */
  onComplete = () => {};

  /** @throws EVENTS_TESTING_INVALID */
  constructor(options: TestEventsOptions = {}) {
    requireOptions('TestEventsModule.forRoot()', options, CHECKS, testingProblem);
    const { deliversTwice, keepsEngine } = options;
    const memory = keepsEngine ? undefined : { store: new MemoryStore(), clock: new VirtualClock() };
    const seed = seedOf(options.shuffle);
    this.memory = memory;
    this.hooks = {
      engine: (configured) => {
        const factory = memory ? memoryEngine(memory) : configured;
        return factory && deliversTwice ? deliveredTwice(factory) : factory;
      },
      // Nobody else sees the deliveries in this memory.
      ...(memory && { works: true, transactionRemedy: TRANSACTION_REMEDY }),
      // Without the random part, a test can reckon with delays.
      random: () => 0,
      onComplete: () => this.onComplete(),
      around: { call: this.standIns.call },
      ...(seed !== undefined && { arrange: (event, callbacks) => shuffled(seed, event, callbacks) }),
    };
  }
}

const TRANSACTION_REMEDY =
  'TestEventsModule keeps deliveries in memory, where no transaction can store them; with ' +
  "TestEventsModule.forRoot({ keepsEngine: true }) it is the application's own engine that does";

let chosen: number | undefined;

/** Chooses one seed for the process, so that a failure can be repeated. */
function seedOf(shuffle: TestEventsOptions['shuffle']): number | undefined {
  if (shuffle !== true) return shuffle === false ? undefined : shuffle;
  if (chosen === undefined) {
    chosen = randomInt(2 ** 31);
    // Nest's logger is silent in tests.
    console.log(
      `Callbacks are shuffled by seed ${chosen}. The same again: TestEventsModule.forRoot({ shuffle: ${chosen} })`,
    );
  }
  return chosen;
}
