// One section of the bench, in a process of its own, so that none changes the conditions of another: an async context
// that was active once makes every await slower, and code that ran with one kind of callback is compiled for it.
import { readFileSync } from 'node:fs';
import { additions, asyncContext, dispatch, interceptor, longLived, scoped, telemetry, traced, ways } from './runs.mjs';
import { boot } from './boot.mjs';
import { background, bytesPerCallback, bytesPerRun, growth, inFlight } from './memory.mjs';

const SECTIONS = {
  dispatch,
  longLived,
  ways,
  additions,
  interceptor,
  traced,
  telemetry,
  asyncContext,
  scoped,
  boot,
  bytesPerRun,
  bytesPerCallback,
  inFlight,
  growth,
  background,
};

const [speed, name, ...which] = process.argv.slice(2);
const before = spent();
const rows = await SECTIONS[name](speed === 'quick', ...which);
const after = spent();
/** How much of the time in which this process wanted a core it had one. Less than all of it, if others were at work. */
const share = (after.running - before.running) / (after.wanted - before.wanted);
process.send({ rows, share }, () => process.exit());

/**
 * Milliseconds. Linux tells how long the main thread has waited for a core. Elsewhere all threads count as running, which
 * hides some of what others take, and all time as wanted, as no section that times anything waits for something else.
 */
function spent() {
  try {
    const [running, waiting] = readFileSync('/proc/self/schedstat', 'utf8').split(' ').map(Number);
    return { running: running / 1e6, wanted: (running + waiting) / 1e6 };
  } catch {
    const { user, system } = process.cpuUsage();
    return { running: (user + system) / 1e3, wanted: performance.now() };
  }
}
