// One section of the bench, in a process of its own, so that none changes the conditions of another: an async context
// that was active once makes every await slower, and code that ran with one kind of callback is compiled for it.
import { additions, asyncContext, dispatch, interceptor, longLived, scoped, traced, ways } from './runs.mjs';
import { boot } from './boot.mjs';
import { background, bytesPerCallback, bytesPerRun, growth, inFlight } from './memory.mjs';

const SECTIONS = {
  dispatch,
  longLived,
  ways,
  additions,
  interceptor,
  traced,
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
const startedAt = performance.now();
const usedBefore = process.cpuUsage();
const rows = await SECTIONS[name](speed === 'quick', ...which);
const { user, system } = process.cpuUsage(usedBefore);
/** How much of a core this process got: less than all of one, if others were at work, as no section that times waits. */
const share = (user + system) / 1_000 / (performance.now() - startedAt);
process.send({ rows, share }, () => process.exit());
