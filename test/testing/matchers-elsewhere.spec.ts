/** The matchers under a test runner that lends them its own object, and has less to lend than Jest. `bun test` is one. */
import { isDeepStrictEqual } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventsMatchers } from 'nestjs-callbacks/testing';
import { closeAll, start, Users } from '../support/test-kit.js';

afterEach(closeAll);

/** As Bun's: its methods ask who calls them. */
class ExpectMatcherContext {
  readonly utils = { stringify: (value: unknown) => JSON.stringify(value) };
  constructor(readonly isNot: boolean) {}
  equals(one: unknown, other: unknown, testers: unknown[]): boolean {
    if (!(this instanceof ExpectMatcherContext)) throw new TypeError('Expected this to be an ExpectMatcherContext');
    return testers.length >= 0 && isDeepStrictEqual(one, other);
  }
}

describe('A matcher', () => {
  it('F11: keeps the object that the runner lends it, and does without what that does not have', async () => {
    const { events, run } = await start([Users]);
    await run.run('user_joined', 'Ada', 'ada@example.org');
    const context = new ExpectMatcherContext(false);
    const { toHaveRun, toHaveCalled, toHaveFailed, toHaveRunTimes } = eventsMatchers;

    expect(toHaveRun.call(context, events, 'user_joined', 'Ada', 'ada@example.org').pass).toBe(true);
    expect(toHaveRunTimes.call(context, events, 'user_joined', 1).pass).toBe(true);
    expect(toHaveCalled.call(context, events, 'Users.add', 'Ada', 'ada@example.org').pass).toBe(true);
    expect(toHaveFailed.call(context, events, 'Users.add', { message: 'x' }).pass).toBe(false);
    const { pass, message } = toHaveRun.call(context, events, 'user_joined', 'Eve');
    expect(pass).toBe(false);
    expect(message()).toBe(
      'expect(events).toHaveRun("user_joined", "Eve")\n\nWhat was run:\n  1. "user_joined" ("Ada", "ada@example.org")',
    );
  });
});
