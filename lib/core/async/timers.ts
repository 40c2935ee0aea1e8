import * as timers from 'node:timers';
import * as promises from 'node:timers/promises';

// Node's own timers, as they were when this was loaded. Fake timers replace the global ones, and those in Node's modules,
// which CommonJS looks up at each call. Neither a test's clock nor its end may stop the work that an application waits for.
export const { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } = timers;
export const sleep = promises.setTimeout;

/** The longest time that a timer can wait. One that is to wait longer fires at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;
