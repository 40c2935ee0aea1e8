// The result of the bench as one table in the terminal.
import { TOLERANCE } from './goals.mjs';
import { PEERS } from './peers.mjs';

const WIDE = 46;
const cell = (text, width = 20) => String(text).padStart(width);
const times = ({ ratio, low, high }) => `${ratio.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;

export function print({ node, machine, date, speed, seconds, sections, goals }) {
  console.log(`Node ${node}, ${machine}, ${date}, ${speed}, ${seconds} s`);
  console.log('Ratios of times in interleaved rounds: the median, and the middle half in brackets.');

  for (const kind of new Set(sections.dispatch.map((row) => row.kind))) {
    const counts = [1, 3, 10, 100];
    title(`Callbacks that are ${kind}, against a helper function that awaits them`);
    console.log(''.padEnd(WIDE), 'awaits order', ...counts.map((count) => cell(`${count} callbacks`)));
    for (const { name, awaits, ordered } of PEERS) {
      const ratios = counts.map((count) =>
        times(sections.dispatch.find((row) => row.kind === kind && row.count === count && row.name === name)),
      );
      console.log(name.padEnd(WIDE), cell(yes(awaits), 6), cell(yes(ordered), 5), ...ratios.map((text) => cell(text)));
    }
  }
  ratios('In a long-lived application, against the helper', sections.longLived);
  ratios('The ways to run an event, against the helper', sections.ways);
  ratios('Three callbacks resolved at once: what others use costs nothing', sections.additions);
  ratios('With an interceptor, against the helper', sections.interceptor);
  ratios('With a subscriber of the diagnostics channels, against the helper', sections.traced);
  ratios('With EventsTelemetryModule, where there is no OpenTelemetry SDK', sections.telemetry);
  ratios('With an AsyncLocalStorage active, against the helper', sections.asyncContext);
  ratios('Three request-scoped callbacks, against @nestjs/event-emitter', sections.scoped);
  ratios('Finding the callbacks at boot, so many providers, against @nestjs/event-emitter', sections.boot);

  title('Bytes allocated by a run of three callbacks');
  list(sections.bytesPerRun, ({ kind, name, bytes }) => [`${name}, ${kind}`, bytes]);
  title('Bytes kept per registered callback, with an event of its own');
  list(sections.bytesPerCallback, ({ name, bytes }) => [name, bytes]);
  title('Runs in flight: bytes for each, and milliseconds for all');
  list(sections.inFlight, ({ name, count, bytes, ms }) => [`${name}, ${count}`, `${bytes} B, ${ms} ms`]);
  title('Heap after so many more runs, KiB');
  list(sections.growth, ({ name, count, bytes }) => [`${name}, ${count}`, Math.round(bytes / 1024)]);
  title('Heap after so much background work, KiB, and how often onError was told of a drop');
  list(sections.background, ({ name, bytes, told }) => [name, `${Math.round(bytes / 1024)}, ${told}`]);

  title(`Goals (missed by more than ${TOLERANCE * 100} % is a failure)`);
  for (const { what, value, limit, isMet, isMissed, isTooNoisy } of goals) {
    const verdict = isMet ? 'met' : isTooNoisy ? 'too noisy' : isMissed ? 'MISSED' : 'nearly';
    console.log(what.padEnd(80), cell(value.toFixed(3), 8), '≤', cell(limit.toFixed(3), 7), verdict);
  }
}

const yes = (is) => (is ? 'yes' : 'no');
const title = (text) => console.log(`\n${text}`);
const list = (rows, of) => rows.forEach((row) => console.log(of(row)[0].padEnd(WIDE + 26), cell(of(row)[1])));

function ratios(text, rows) {
  title(text);
  const isMany = (key) => new Set(rows.map((row) => row[key])).size > 1;
  list(rows, (row) => {
    const about = [row.name, isMany('kind') && row.kind, isMany('count') && row.count].filter(Boolean);
    return [about.join(', '), times(row)];
  });
}
