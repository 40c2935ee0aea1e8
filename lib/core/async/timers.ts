import * as timers from 'node:timers';
import * as promises from 'node:timers/promises';

// Node's own, as they were when this was loaded. Fake timers replace the global ones, and those in Node's modules, which
// CommonJS looks up at each call: neither a test's clock nor its end may stop what an application waits for.
export const { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } = timers;
export const sleep = promises.setTimeout;

/** A timer that is to wait longer fires at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;
