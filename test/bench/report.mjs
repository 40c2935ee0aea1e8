// Writes the results of the last full runs into the reference: a table between two marks.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { EMITTER, HELPER, RUN } from './peers.mjs';

const here = (path) => new URL(path, import.meta.url);
const REFERENCE = here('../../lib/README.md');
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

/** Renews the reference from the saved results. */
export async function renew() {
  const results = [20, 24]
    .map((version) => here(`results/node-${version}.json`))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')));
  if (results.length === 0) return;
  const [before, rest] = readFileSync(REFERENCE, 'utf8').split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`lib/README.md must have ${BEGIN} and ${END}.`);
  const text = `${before}${BEGIN}\n\n${table(results)}\n\n${END}${after}`;
  const style = await resolveConfig(fileURLToPath(REFERENCE));
  writeFileSync(REFERENCE, await format(text, { ...style, parser: 'markdown' }));
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
