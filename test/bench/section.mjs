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
process.send(await SECTIONS[name](speed === 'quick', ...which), () => process.exit());
