import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { eventLabel, show } from '../core/seams.js';
import { isWhole, type OptionChecks, requireOptions } from '../engine/index.js';
import {
  type AnyDefinition,
  type CallbackArguments,
  type EventClass,
  EventDeliveries,
  type EventKey,
  type EventName,
  EventsInspector,
} from '../index.js';
import { keyOf } from './event-key.js';
import { type RecordedCall, type RecordedRun, Recorder } from './recorder.js';
import { OutstandingInEngine, OutstandingInMemory } from './outstanding.js';
import { Settling } from './settling.js';
import { TestKit } from './test-kit.js';
import {
  callbackUnknown,
  clockMissing,
  eventUnanswered,
  notStarted,
  testingInvalid,
  testingProblem,
} from './testing-errors.js';
import { waitingFor } from './waiting.js';

/** Less than the five seconds after which Jest and Vitest end a test, so that it can say what is still open. */
const PATIENCE_MS = 4_000;

/** Tells what happened in an application under test, and changes what happens next. Get it by `app.get(TestEvents)`. */
@Injectable()
export class TestEvents implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly recorder: Recorder;
  private readonly settling: Settling;
  /** Whether the application has been initialised. */
  isStarted = false;

  /** Nest makes it: `app.get(TestEvents)`. */
  constructor(
    @Inject(EventsInspector) private readonly inspector: EventsInspector,
    @Inject(EventDeliveries) deliveries: EventDeliveries,
    @Inject(TestKit) private readonly kit: TestKit,
  ) {
    this.recorder = new Recorder(inspector.application);
    // The channels belong to the process. An application that never started must not listen there for ever.
    kit.onComplete = () => this.recorder.start();
    const { memory } = kit;
    const outstanding = memory
      ? new OutstandingInMemory(memory.store, memory.clock)
      : new OutstandingInEngine(inspector, deliveries, this.recorder);
    this.settling = new Settling(inspector, outstanding, memory?.clock, () => this.isStarted);
  }

  onApplicationBootstrap(): void {
    this.isStarted = true;
  }

  onApplicationShutdown(): void {
    this.recorder.stop();
  }

  /** All runs, in the order in which they began, also of events that nobody answers, and those that were refused. */
  get runs(): readonly RecordedRun[] {
    return this.recorder.runs;
  }

  /** All calls of callbacks, in the order in which they began. */
  get calls(): readonly RecordedCall[] {
    return this.recorder.calls;
  }

  /**
   * The runs of one event.
   *
   * @example
   * const [{ arguments: [name, email], calls }] = events.runsOf('user_joined');
   */
  runsOf<Event extends EventName | EventClass | AnyDefinition>(
    event: Event,
  ): readonly RecordedRun<CallbackArguments<Event>>[] {
    const runs: readonly unknown[] = this.recorder.runsOf(keyOf('TestEvents.runsOf()', event));
    return runs as readonly RecordedRun<CallbackArguments<Event>>[];
  }

  /**
   * The calls of one callback; of a durable one, its attempts.
   *
   * @param callback its id, as in `Emails.greetNewUser`
   * @throws EVENTS_TESTING_INVALID when no callback has that id; EVENTS_NOT_SETTLED when init() was forgotten
   */
  callsOf(callback: string): readonly RecordedCall[] {
    this.requirePerformed('TestEvents.callsOf()', callback);
    return this.calls.filter((call) => call.callback === callback);
  }

  /**
   * Replaces a callback from now on: by another function, or by nothing. Its guards and other enhancers are left out, too.
   * When and how often it is called does not change.
   *
   * @example
   * events.fake('Emails.greetNewUser');
   * events.fake('Users.add', (name: string) => added.push(name));
   *
   * @throws EVENTS_TESTING_INVALID when no callback has that id
   */
  fake(callback: string, replacement: (...args: any[]) => unknown = nothing): void {
    this.requireCallback('TestEvents.fake()', callback);
    requireFunction('fake()', replacement);
    this.kit.standIns.fake(callback, replacement);
  }

  /**
   * Replaces all callbacks of an event, as `fake()` does one.
   *
   * @example
   * events.fakeEvent('user_joined');
   *
   * @throws EVENTS_TESTING_INVALID when no callback answers it
   */
  fakeEvent<Event extends EventName | EventClass | AnyDefinition>(
    event: Event,
    replacement: (...args: CallbackArguments<Event>) => unknown = nothing,
  ): void {
    const key = keyOf('TestEvents.fakeEvent()', event);
    const known = [...new Set(this.inspector.callbacks.map((callback) => callback.event))];
    if (!known.includes(key)) throw eventUnanswered('TestEvents.fakeEvent()', eventLabel(key), known.map(eventLabel));
    requireFunction('fakeEvent()', replacement);
    this.kit.standIns.fakeEvent(key, replacement);
  }

  /**
   * Makes a callback fail from now on instead of being called: at some attempts, or at all of them.
   *
   * @param attempt which attempts fail, 1 for the first: of a durable callback, those at each delivery; of another, calls
   * counted from now
   *
   * @example
   * events.fail('Emails.greetNewUser', { attempt: [1, 2] });
   * events.fail('Users.add', { error: new ConflictException() });
   *
   * @throws EVENTS_TESTING_INVALID when no callback has that id
   */
  fail(callback: string, options: { attempt?: number | readonly number[]; error?: unknown } = {}): void {
    this.requireCallback('TestEvents.fail()', callback);
    requireOptions('TestEvents.fail()', options, FAIL_CHECKS, testingProblem);
    const { attempt, error = new Error(`${callback} fails, as TestEvents.fail() has it`) } = options;
    this.kit.standIns.fail(callback, attempt === undefined ? undefined : [attempt].flat(), error);
  }

  /**
   * Resolves when all that runs have caused is done: inline, after-commit and background callbacks, and durable deliveries.
   * A delivery is done when it is completed or dead, or waits behind a dead one of its key. Delays and retries take no real
   * time: the test's time moves on as far as needed, unless the application keeps its engine.
   *
   * @param options.timeoutMs how long it waits, in real milliseconds, by default 4_000
   * @throws EVENTS_NOT_SETTLED, with what is still open
   */
  async settled(options: { timeoutMs?: number } = {}): Promise<void> {
    requireOptions('TestEvents.settled()', options, WAIT_CHECKS, testingProblem);
    await this.settling.until(Infinity, options.timeoutMs ?? PATIENCE_MS);
  }

  /**
   * Moves the time on by so many milliseconds, and waits for what becomes due on the way. That is performed in its order and
   * at its time.
   *
   * @example
   * await events.advance(60 * 60_000);
   *
   * @throws EVENTS_NOT_SETTLED; EVENTS_TESTING_INVALID when the application keeps its engine
   */
  async advance(ms: number, options: { timeoutMs?: number } = {}): Promise<void> {
    const { memory } = this.kit;
    if (!memory) throw clockMissing();
    if (!Number.isSafeInteger(ms) || ms < 0) {
      throw testingInvalid('TestEvents.advance()', show(ms), 'Pass milliseconds, a whole number.');
    }
    requireOptions('TestEvents.advance()', options, WAIT_CHECKS, testingProblem);
    await this.settling.until(memory.clock.now() + ms, options.timeoutMs ?? PATIENCE_MS);
  }

  /** Forgets what was recorded, and all fakes and failures. What is stored stays. */
  reset(): void {
    this.recorder.clear();
    this.kit.standIns.clear();
  }

  /** @internal */
  recordedRuns(event: EventKey): readonly RecordedRun[] {
    return this.recorder.runsOf(event);
  }

  /**
   * A callback that nobody performs would look like one that was never called.
   *
   * @internal
   */
  requirePerformed(where: string, id: string): void {
    this.requireCallback(where, id);
    if (this.isStarted) return;
    for (const { event, callback, delivery } of this.inspector.callbacks) {
      if (callback !== id || delivery !== 'durable' || this.recorder.runsOf(event).length === 0) continue;
      throw notStarted(`${where} was called`, [`a delivery of "${eventLabel(event)}" to ${id}`]);
    }
  }

  /** @internal Says what there is to wait for until a callback is called: a matcher cannot wait. */
  waitingFor(id: string): string[] {
    const { inspector, recorder } = this;
    return waitingFor(id, { inspector, recorder, memory: this.kit.memory });
  }

  /** A mistyped id would look like the id of a callback that was never called. */
  private requireCallback(where: string, id: string): void {
    const known = [...new Set(this.inspector.callbacks.map(({ callback }) => callback))];
    if (!known.includes(id)) throw callbackUnknown(where, id, known);
  }
}

const nothing = () => {};

const WAIT_CHECKS: OptionChecks = {
  timeoutMs: { isValid: isWhole(1, 0, 2 ** 31 - 1), expected: 'Pass real milliseconds, a whole number.' },
};

const FAIL_CHECKS: OptionChecks = {
  attempt: {
    isValid: (value) => [value].flat().every(isWhole(1, 1)),
    expected: 'Pass a number, 1 for the first, or several.',
  },
  error: { isValid: () => true, expected: '' },
};

function requireFunction(where: string, replacement: unknown): void {
  if (typeof replacement === 'function') return;
  throw testingInvalid(`TestEvents.${where}`, `${show(replacement)} as what to do instead`, 'Pass a function.');
}
