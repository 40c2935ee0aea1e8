/** What `clsPropagator()` promises to an application whose requests fill CLS: callbacks that are called later find it as it was. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Programs } from './programs.js';
import type { Results } from './requests-program.js';

const programs = new Programs();
let results: Results;
beforeAll(async () => {
  results = await programs.resultOf('requests-program');
});
afterAll(() => programs.remove());

/** Of a request of the tenant acme. */
const ACME = { tenant: 'acme', userId: 'a user of acme' };
/** As `events.with({ headers })` was told. */
const PASSED = { tenant: 'umbrella', userId: 7 };

describe('A durable attempt', () => {
  it('finds what the request had, whatever was run between, and nothing of the attempt before', () => {
    expect(results.retried.filter(({ callback }) => callback !== 'announce')).toEqual([
      { callback: 'ship', attempt: 1, ...ACME, ofRequest: false },
      { callback: 'bill', attempt: 1, tenant: 'globex', userId: 'a user of globex', ofRequest: false },
      { callback: 'ship', attempt: 2, ...ACME, ofRequest: false },
    ]);
  });

  it('hands it on to what is run in it', () => {
    const announced = results.retried.filter(({ callback }) => callback === 'announce');
    expect(announced).toEqual([{ callback: 'announce', ...ACME, ofRequest: false }]);
  });

  it('finds that of its own request among 200 at once, each time', () => {
    expect(results.concurrent).toHaveLength(200);
    expect(results.concurrent).toEqual(results.concurrent.map(([tenant]) => [tenant, [tenant, tenant, tenant]]));
  });

  it('finds what was passed as a header rather than what the request had', () => {
    expect(results.passed).toEqual([{ callback: 'bill', attempt: 1, ...PASSED, ofRequest: false }]);
  });

  it('finds nothing where the request had nothing', () => {
    expect(results.unset).toEqual([{ callback: 'bill', attempt: 1, ofRequest: false }]);
  });

  it('has proxy providers once it has asked for them', () => {
    expect(results.proxied).toEqual([['undefined', 'acme']]);
  });
});

describe('A callback that waits for a transaction', () => {
  it.each(['held', 'rolledBack'] as const)('finds the store of the request, and leaves it as it was: %s', (how) => {
    const { seen, after, isSameUser } = results[how];
    const callback = how === 'held' ? 'afterCommit' : 'afterRollback';
    expect(seen).toEqual([{ callback, ...ACME, ofRequest: true }]);
    expect(after).toEqual({ callback: 'request', ...ACME, ofRequest: true });
    expect(isSameUser).toBe(true);
  });

  it('finds what was passed as headers, which the request does not', () => {
    const { seen, after } = results.changed;
    expect(seen).toEqual([{ callback: 'afterCommit', ...PASSED, ofRequest: true }]);
    expect(after).toEqual({ callback: 'request', ...ACME, ofRequest: true });
  });

  it('finds nothing where its run was made with nothing, though the transaction is of somebody', () => {
    const { seen, after } = results.without;
    expect(seen).toEqual([{ callback: 'afterCommit', ofRequest: true }]);
    expect(after).toEqual({ callback: 'request', ...ACME, ofRequest: true });
  });
});
