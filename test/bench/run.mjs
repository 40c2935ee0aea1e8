// What a run, a boot and a callback cost, against what one would use instead. `npm run bench` builds first.
//
//   --quick        fewer samples: about a minute. What seems to miss a goal is measured again as in a full run; where
//                  other work on the machine takes the cores away, it says "too noisy" rather than "MISSED"
//   --json         prints JSON and nothing else
//   --save         writes results/node-<major>.json, and renews the table of lib/README.md
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
  ...['longLived', 'ways', 'additions', 'interceptor', 'traced', 'telemetry', 'asyncContext', 'scoped', 'boot'].map(
    (name) => ({
      name,
    }),
  ),
  ...['bytesPerRun', 'bytesPerCallback', 'inFlight'].map((name) => ({ name, execArgv: COUNTING })),
  ...['growth', 'background'].map((name) => ({ name, execArgv: ['--expose-gc'] })),
].map((part) => ({ which: [], execArgv: [], ...part }));
const keyOf = ({ name, which }) => [name, ...which].join(' ');

/** What each part of the plan measured: its rows, and how much of the time it had the core that it wanted. */
const measured = new Map();

/** A process that has a core less often than this was kept waiting so much that its times say little. */
const ENOUGH_OF_A_CORE = 0.9;
/** How often what a quick run seems to miss is measured again, while the machine is not busy. */
const SECOND_LOOKS = 2;

const startedAt = performance.now();
for (const part of PLAN) await measure(part, speed);
for (let look = 0; speed === 'quick' && look < SECOND_LOOKS; look++) {
  const missed = judged().filter(({ isMissed, isTooNoisy }) => isMissed && !isTooNoisy);
  for (const part of PLAN.filter((one) => missed.some(({ of }) => of === keyOf(one)))) await measure(part, 'full');
}
say(`\r\u001b[K`);

const result = {
  node: process.version,
  machine: `${cpus().length} × ${cpus()[0].model.trim()}`,
  date: new Date().toISOString().slice(0, 10),
  speed,
  seconds: Math.round((performance.now() - startedAt) / 1000),
  sections: sectionsOf(measured),
  goals: judged(),
};

if (has('--json')) console.log(JSON.stringify(result, null, 1));
else print(result);
if (has('--save')) {
  writeFileSync(resultsFile(result), `${JSON.stringify(result, null, 1)}\n`);
  await renew();
}
if (result.goals.some(({ isMissed, isTooNoisy }) => isMissed && !isTooNoisy)) process.exitCode = 1;

/** The goals, and which of them a quick run cannot judge. */
function judged() {
  return goals(sectionsOf(measured)).map((goal) => {
    const isBusy = measured.get(goal.of).share < ENOUGH_OF_A_CORE;
    return { ...goal, isTooNoisy: speed === 'quick' && goal.isMissed && goal.isOfTime && isBusy };
  });
}

function sectionsOf(parts) {
  const sections = {};
  for (const part of PLAN) {
    sections[part.name] = [...(sections[part.name] ?? []), ...parts.get(keyOf(part)).rows];
  }
  return sections;
}

async function measure(part, howFast) {
  say(`\r\u001b[K${keyOf(part)}`);
  measured.set(keyOf(part), await section([howFast, part.name, ...part.which], part.execArgv));
}

function section(argv, execArgv) {
  const child = fork(new URL('section.mjs', import.meta.url), argv, { execArgv });
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`${argv.join(' ')} ended with ${code} and no figures`)));
  });
}
