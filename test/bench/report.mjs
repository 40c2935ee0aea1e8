// Writes the results of the last full runs into the README: a chart, and a table between two marks.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { EMITTER, HELPER, RUN } from './peers.mjs';

const here = (path) => new URL(path, import.meta.url);
const README = here('../../README.md');
const CHART = here('chart.svg');
const [BEGIN, END] = ['<!-- bench -->', '<!-- /bench -->'];

const major = ({ node }) => node.slice(1).split('.')[0];

export const resultsFile = (result) => here(`results/node-${major(result)}.json`);

const KINDS = ['synchronous', 'resolved at once', 'really asynchronous'];
const SHOWN = [
  [RUN, 'events.run()'],
  ['emittery emitSerial()', 'emittery, emitSerial()'],
  ['hookable callHook()', 'hookable, callHook()'],
  ['eventemitter2 emitAsync()', 'eventemitter2, emitAsync() (no order)'],
  [`${EMITTER} emitAsync()`, `${EMITTER}, emitAsync() (no order)`],
  ['@nestjs/cqrs publish()', '@nestjs/cqrs, publish() (cannot be awaited)'],
];

/** Renews the chart and the README from the saved results. */
export async function renew() {
  const results = [20, 24]
    .map((version) => here(`results/node-${version}.json`))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')));
  if (results.length === 0) return;
  writeFileSync(CHART, chart(results[0]));
  const [before, rest] = readFileSync(README, 'utf8').split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`README.md must have ${BEGIN} and ${END}.`);
  const text = `${before}${BEGIN}\n\n${table(results)}\n\n${END}${after}`;
  const style = await resolveConfig(fileURLToPath(README));
  writeFileSync(README, await format(text, { ...style, parser: 'markdown' }));
}

const ratioOf = ({ sections }, name, kind) =>
  sections.dispatch.find((row) => row.name === name && row.kind === kind && row.count === 3).ratio;

function table(results) {
  const cells = results.flatMap((result) => KINDS.map((kind) => ({ result, kind })));
  const heads = cells.map(({ result, kind }) => `Node ${major(result)}, ${kind}`);
  const rows = [[HELPER, 'awaiting them in a helper function'], ...SHOWN].map(([name, label]) => [
    label.replace('events.run()', '**`events.run()`**'),
    ...cells.map(({ result, kind }) => ratioOf(result, name, kind).toFixed(2)),
  ]);
  const line = (texts) => `| ${texts.join(' | ')} |`;
  const { date, machine } = results[0];
  return [
    line(['three callbacks', ...heads]),
    line(['---', ...heads.map(() => '--:')]),
    ...rows.map(line),
    '',
    `Times against the helper function in the same process, medians of interleaved rounds; ${date}, a virtual machine with ${machine}.`,
  ].join('\n');
}

/** Horizontal bars, one group for each kind of callback; plain SVG that needs no script and no font of its own. */
function chart(result) {
  const [left, width, bar, gap] = [300, 380, 16, 5];
  const shown = [[HELPER, 'a helper function that awaits'], ...SHOWN];
  const most = Math.max(...KINDS.flatMap((kind) => shown.map(([name]) => ratioOf(result, name, kind))));
  const scale = (ratio) => Math.max(2, (Math.log2(1 + ratio) / Math.log2(1 + most)) * width);
  const parts = [];
  let y = 48;
  for (const kind of KINDS) {
    parts.push(`<text x="12" y="${y + 12}" font-weight="bold">Three callbacks, ${kind}</text>`);
    y += 24;
    for (const [name, label] of shown) {
      const ratio = ratioOf(result, name, kind);
      const fill = name === RUN ? '#e0234e' : name === HELPER ? '#57606a' : '#afb8c1';
      parts.push(
        `<text x="${left - 8}" y="${y + 12}" text-anchor="end">${label}</text>`,
        `<rect x="${left}" y="${y}" width="${scale(ratio).toFixed(1)}" height="${bar}" rx="2" fill="${fill}"/>`,
        `<text x="${(left + scale(ratio) + 6).toFixed(1)}" y="${y + 12}">${ratio.toFixed(2)} ×</text>`,
      );
      y += bar + gap;
    }
    y += 14;
  }
  const title = `Time against a helper function that awaits the callbacks (Node ${major(result)}, logarithmic)`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 ${y}" width="760" height="${y}" role="img" aria-label="${title}" font-family="system-ui, sans-serif" font-size="12" fill="#24292f">`,
    `<rect width="760" height="${y}" fill="#ffffff"/>`,
    `<text x="12" y="26" font-size="14">${title}</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}
