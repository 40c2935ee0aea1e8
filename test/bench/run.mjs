// What a run, a boot and a callback cost, against what one would use instead. `npm run bench` builds first.
//
//   --quick        fewer samples: under a minute
//   --json         prints JSON and nothing else
//   --save         writes results/node-<major>.json, and renews the chart and the table of the README
//
// Exits with 1 when a goal is missed by more than 15 %.
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { KINDS } from './applications.mjs';
import { goals } from './goals.mjs';
import { print } from './print.mjs';
import { renew, resultsFile } from './report.mjs';

const flags = process.argv.slice(2);
const unknown = flags.filter((flag) => !['--quick', '--json', '--save'].includes(flag));
if (unknown.length > 0) throw new Error(`Unknown: ${unknown.join(' ')}. There are --quick, --json and --save.`);
const has = (flag) => flags.includes(flag);
if (has('--quick') && has('--save')) throw new Error('--save keeps the figures of a full run: leave out --quick.');
const speed = has('--quick') ? 'quick' : 'full';
const say = (text) => process.stderr.write(text);

/** Its young generation is never full, so that what is allocated can be counted. */
const COUNTING = ['--expose-gc', '--min-semi-space-size=256', '--max-semi-space-size=256'];

const cells = Object.keys(KINDS).flatMap((kind) => [1, 3, 10, 100].map((count) => [kind, String(count)]));
const PLAN = [
  ...cells.map((which) => ({ name: 'dispatch', which })),
  ...['longLived', 'ways', 'additions', 'interceptor', 'traced', 'asyncContext', 'scoped', 'boot'].map((name) => ({
    name,
  })),
  ...['bytesPerRun', 'bytesPerCallback', 'inFlight'].map((name) => ({ name, execArgv: COUNTING })),
  ...['growth', 'background'].map((name) => ({ name, execArgv: ['--expose-gc'] })),
];

const sections = {};
const startedAt = performance.now();
for (const { name, which = [], execArgv = [] } of PLAN) {
  say(`\r\u001b[K${name} ${which.join(' ')}`);
  sections[name] = [...(sections[name] ?? []), ...(await section([speed, name, ...which], execArgv))];
}
say(`\r\u001b[K`);

const result = {
  node: process.version,
  machine: `${cpus().length} × ${cpus()[0].model.trim()}`,
  date: new Date().toISOString().slice(0, 10),
  speed,
  seconds: Math.round((performance.now() - startedAt) / 1000),
  sections,
};
result.goals = goals(sections);

if (has('--json')) console.log(JSON.stringify(result, null, 1));
else print(result);
if (has('--save')) {
  writeFileSync(resultsFile(result), `${JSON.stringify(result, null, 1)}\n`);
  await renew();
}
if (result.goals.some(({ isMissed }) => isMissed)) process.exitCode = 1;

function section(argv, execArgv) {
  const child = fork(new URL('section.mjs', import.meta.url), argv, { execArgv });
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`${argv.join(' ')} ended with ${code} and no figures`)));
  });
}
