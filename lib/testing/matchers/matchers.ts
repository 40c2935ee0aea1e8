import { eventLabel, show } from '../../core/seams.js';
import { messageOf } from '../../engine/index.js';
import type { AnyDefinition, CallbackArguments, EventClass, EventName, EventObject } from '../../index.js';
import { classOf, keyOf } from '../event-key.js';
import type { RecordedCall, RecordedRun } from '../recorder.js';
import { TestEvents } from '../test-events.js';
import { testingInvalid } from '../testing-errors.js';
import { type Context, happened, list, short, type Verdict, verdict } from './verdict.js';
import { errorLike } from './error-like.js';

/** Stands for many values in a matcher, as `expect.any(String)` does. */
interface Asymmetric {
  asymmetricMatch(other: any): boolean;
}

/** Either no arguments, which stands for any, or all that the callbacks get. */
type AllOrNone<Args extends readonly unknown[]> = [] | { [Index in keyof Args]: Args[Index] | Asymmetric };

/** The arguments that go with a name, a class or a definition; an instance of a class is itself the argument. */
export type ExpectedArguments<Event> =
  CallbackArguments<Event> extends infer Args extends readonly unknown[] ? AllOrNone<Args> : never;

/** The matchers that `expect(events)` has for a {@link TestEvents}. */
export interface EventsMatchers<R> {
  /**
   * Expects that an event was run: with these arguments, or with any if none are given.
   *
   * @example
   * expect(events).toHaveRun('user_joined', 'Ada', expect.stringContaining('@'));
   * expect(events).toHaveRun(new UserJoined('Ada'));
   * expect(events).not.toHaveRun('user_left');
   */
  toHaveRun<Event extends EventName | EventClass | EventObject>(event: Event, ...args: ExpectedArguments<Event>): R;
  /** Expects how often an event was run. */
  toHaveRunTimes<Event extends EventName | EventClass | AnyDefinition>(event: Event, times: number): R;
  /**
   * Expects that a callback was called, whatever came of it: with these arguments, or with any if none are given.
   *
   * @example
   * expect(events).toHaveCalled('Emails.greetNewUser', 'Ada', 'ada@example.org');
   */
  toHaveCalled(callback: string, ...args: unknown[]): R;
  /**
   * Expects that a callback failed at least once: with an error of this message, part of a message, class or value.
   *
   * @example
   * expect(events).toHaveFailed('Emails.greetNewUser', 'the mail server is down');
   */
  toHaveFailed(callback: string, error?: unknown): R;
}

/**
 * To be passed to `expect.extend()` of Jest, Vitest or their like; `nestjs-callbacks/testing/jest` and `…/vitest` do that.
 */
export const eventsMatchers = {
  toHaveRun(this: Context, events: unknown, event: unknown, ...expected: unknown[]): Verdict {
    const type = classOf(event);
    const args = type ? [event] : expected;
    const subject = subjectOf('toHaveRun', events);
    const key = type ?? keyOf('toHaveRun()', event);
    return happened(this, subject, {
      call: ['toHaveRun', eventLabel(key), ...args],
      words: 'run',
      args,
      named: subject.recordedRuns(key),
      all: subject.runs,
      line: (run) => `${JSON.stringify(run.event)}${inBrackets(this, run)}${ending(run, ', and failed: ')}`,
    });
  },

  toHaveRunTimes(this: Context, events: unknown, event: unknown, times: number): Verdict {
    const subject = subjectOf('toHaveRunTimes', events);
    const key = keyOf('toHaveRunTimes()', event);
    const named = subject.recordedRuns(key);
    const line = (run: RecordedRun) =>
      `${JSON.stringify(run.event)}${inBrackets(this, run)}${ending(run, ', and failed: ')}`;
    return verdict(this, subject, named.length === times, ['toHaveRunTimes', eventLabel(key), times], () => [
      list(named, line, `It was run ${named.length === 1 ? 'once' : `${named.length} times`}:`, 'It was not run.'),
      named.length === 0 ? list(subject.runs, line, 'What was run:', 'Nothing was run.') : '',
    ]);
  },

  toHaveCalled(this: Context, events: unknown, callback: string, ...args: unknown[]): Verdict {
    const subject = subjectOf('toHaveCalled', events, callback);
    return happened(this, subject, {
      call: ['toHaveCalled', callback, ...args],
      words: 'called',
      args,
      named: subject.calls.filter((call) => call.callback === callback),
      all: subject.calls,
      waiting: () => subject.waitingFor(callback),
      line: (call) => callLine(this, call),
    });
  },

  toHaveFailed(this: Context, events: unknown, callback: string, ...expected: [error?: unknown]): Verdict {
    const subject = subjectOf('toHaveFailed', events, callback);
    const named = subject.calls.filter((call) => call.callback === callback);
    const isExpected = expected.length === 0 ? () => true : errorLike(this, expected[0]);
    const matching = named.filter(({ status, reason }) => status === 'rejected' && isExpected(reason));
    const line = (call: RecordedCall) => callLine(this, call);
    return verdict(this, subject, matching.length > 0, ['toHaveFailed', callback, ...expected], () => [
      this.isNot ? list(matching, line, 'It failed:') : list(named, line, 'What it did:', 'It was not called.'),
      ...(this.isNot ? [] : subject.waitingFor(callback)),
    ]);
  },
};

function subjectOf(matcher: string, events: unknown, callback?: string): TestEvents {
  if (!(events instanceof TestEvents)) {
    const name = events !== null && typeof events === 'object' ? events.constructor?.name : undefined;
    throw testingInvalid(
      `${matcher}()`,
      name === 'TestEvents'
        ? 'a TestEvents of another copy of this package'
        : name
          ? `${/^[aeio]/i.test(name) ? 'an' : 'a'} ${name}`
          : show(events),
      name === 'TestEvents'
        ? 'Import package and matchers once: jest.resetModules() makes copies.'
        : 'Pass a TestEvents, as in: expect(app.get(TestEvents)).',
    );
  }
  if (callback !== undefined) events.requirePerformed(`${matcher}()`, callback);
  return events;
}

const inBrackets = (context: Context, { arguments: args }: { readonly arguments: readonly unknown[] }) =>
  ` (${args.map((argument) => short(context, argument)).join(', ')})`;

const ending = ({ status, reason }: RecordedRun | RecordedCall, failed: string) =>
  status === 'rejected' ? `${failed}${messageOf(reason)}` : '';

const callLine = (context: Context, call: RecordedCall) =>
  `${call.callback}${inBrackets(context, call)}${call.attempt === undefined ? '' : `, attempt ${call.attempt}`}` +
  (call.status === 'running' ? ', which still runs' : ending(call, ', which failed: '));
