// What the compiler pays for typed events, against what one would use instead. `npm run bench:types` builds first.
//
//   --quick        100 and 1,000 of each only, in fewer rounds
//
// Generates a project of so many events, as many decorated methods and as many runs, for each way to name an event and for
// the untyped calls of others, checks it in a process of its own, and compares the times of one round with each other. Then it
// asks the language service for completions where an editor does. Exits with 1 when a goal is missed.
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'test', 'generated', 'types');
const PER_FILE = 50;
const COMPLETIONS_MS = 300;

/** Each way: the events as they are declared, a decorated method, a run, and what a file of such imports. */
const WAYS = {
  'emit(name), untyped': {
    declare: () => '',
    decorator: (n) => `@OnEvent('event_${n}')`,
    run: (n) => `events.emit('event_${n}', details<Details${n}>(), 'note');`,
    imports: () =>
      `import { OnEvent } from '@nestjs/event-emitter'; import type { EventEmitter2 } from 'eventemitter2';`,
    runner: 'EventEmitter2',
  },
  definitions: {
    declare: (n) => `export const event_${n} = defineEvent<[details: Details${n}, note: string]>('event_${n}');`,
    decorator: (n) => `@Callback(event_${n})`,
    run: (n) => `void events.run(event_${n}, details<Details${n}>(), 'note');`,
    imports: (numbers) => `import { ${numbers.map((n) => `event_${n}`).join(', ')} } from './events.js';`,
  },
  classes: {
    declare: (n) => `export class Event${n} { constructor(readonly details: Details${n}, readonly note: string) {} }`,
    decorator: (n) => `@Callback(Event${n})`,
    parameters: (n) => `event: Event${n}`,
    run: (n) => `void events.run(new Event${n}(details<Details${n}>(), 'note'));`,
    imports: (numbers) => `import { ${numbers.map((n) => `Event${n}`).join(', ')} } from './events.js';`,
  },
  names: {
    declare: () => '',
    map: (n) => `event_${n}: [details: Details${n}, note: string];`,
    decorator: (n) => `@Callback('event_${n}')`,
    run: (n) => `void events.run('event_${n}', details<Details${n}>(), 'note');`,
    imports: () => '',
  },
};
const OURS = `import { Callback, defineEvent, type EventRunner } from 'nestjs-callbacks';`;

function project(way, count) {
  const { declare, map, decorator, parameters, run, imports, runner = 'EventRunner' } = WAYS[way];
  const numbers = Array.from({ length: count }, (_, index) => index);
  const lines = (of) => numbers.map(of).join('\n');
  const files = new Map();
  const add = (name, text) => files.set(join(folder, name), text);
  add(
    'events.ts',
    `${OURS}
     ${lines((n) => `export interface Details${n} { readonly field${n}: string }`)}
     ${lines(declare)}
     export const details = <T>(): T => ({}) as T;
     ${map ? `declare module 'nestjs-callbacks' { interface EventMap { ${lines(map)} } }` : ''}`,
  );
  for (let from = 0; from < count; from += PER_FILE) {
    const own = numbers.slice(from, from + PER_FILE);
    const head = `${OURS} ${imports(own)} import { details, ${own.map((n) => `type Details${n}`).join(', ')} } from './events.js';`;
    const method = (n) =>
      `${decorator(n)} on${n}(${(parameters ?? ((m) => `details: Details${m}, note: string`))(n)}) {}`;
    add(`callbacks-${from}.ts`, `${head} export class Callbacks${from} { ${own.map(method).join('\n')} }`);
    add(`runs-${from}.ts`, `${head} export function runs(events: ${runner}) { ${own.map(run).join('\n')} }`);
  }
  return files;
}

const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
// As a user's project: by the package's name, and so by what is built.
const settings = { ...options, paths: undefined, noUnusedLocals: false };

/** Milliseconds that checking takes, once everything is read and bound. */
function check(way, count) {
  const files = project(way, count);
  const host = ts.createCompilerHost(settings);
  const { fileExists, readFile, getSourceFile, directoryExists } = host;
  host.directoryExists = (path) => folder.startsWith(path) || directoryExists(path);
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file) ?? readFile(file);
  host.getSourceFile = (file, language, ...rest) =>
    files.has(file) ? ts.createSourceFile(file, files.get(file), language) : getSourceFile(file, language, ...rest);
  const program = ts.createProgram([...files.keys()], settings, host);
  program.getTypeChecker();
  const startedAt = performance.now();
  const found = [...files.keys()].flatMap((file) => program.getSemanticDiagnostics(program.getSourceFile(file)));
  const ms = performance.now() - startedAt;
  if (found.length > 0) throw new Error(`${way}: ${ts.formatDiagnostics(found.slice(0, 3), host)}`);
  return { ms };
}

/** Milliseconds that completions take right behind `run('`, as an editor asks for them: after each key once more. */
function complete(way, count) {
  const files = project(way, count);
  const asking = join(folder, 'asking.ts');
  const before = `${OURS} import './events.js'; declare const events: EventRunner; events.run('`;
  const source = (typed) => `${before}${typed}');`;
  files.set(asking, source(''));
  let version = 0;
  const host = {
    ...ts.sys,
    getCompilationSettings: () => settings,
    getScriptFileNames: () => [...files.keys()],
    getScriptVersion: (file) => (file === asking ? String(version) : '0'),
    getScriptSnapshot: (file) => {
      const text = files.get(file) ?? ts.sys.readFile(file);
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
    },
    getCurrentDirectory: () => root,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    useCaseSensitiveFileNames: () => true,
    fileExists: (file) => files.has(file) || ts.sys.fileExists(file),
    readFile: (file) => files.get(file) ?? ts.sys.readFile(file),
    directoryExists: (path) => folder.startsWith(path) || ts.sys.directoryExists(path),
  };
  const service = ts.createLanguageService(host);
  const times = [];
  let names;
  for (const typed of ['', 'e', 'ev', 'eve', 'even']) {
    files.set(asking, source(typed));
    version++;
    service.getProgram().getTypeChecker();
    const startedAt = performance.now();
    names = service.getCompletionsAtPosition(asking, before.length + typed.length, {})?.entries;
    times.push(performance.now() - startedAt);
  }
  const strangers = names.filter(({ name }) => !/^event_\d+$/.test(name));
  if (names.length !== count || strangers.length > 0) {
    throw new Error(`${names.length} completions for ${count} names, such as ${JSON.stringify(strangers[0]?.name)}`);
  }
  return { ms: Math.max(...times) };
}

const inProcess = (...args) =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--measure', ...args.map(String)], {
      execArgv: ['--max-old-space-size=8192'],
    });
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code} and no figures`)));
  });
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

async function report(isQuick) {
  const counts = isQuick ? [100, 1_000] : [100, 1_000, 5_000];
  const ways = Object.keys(WAYS);
  const [peer] = ways;
  const missed = [];
  console.log(
    `TypeScript ${ts.version}, Node ${process.version}. Time of checking, as a ratio to that of @OnEvent and emit()`,
  );
  console.log(''.padEnd(8), ...ways.map((way) => way.padStart(22)), 'names / definitions'.padStart(22));
  for (const count of counts) {
    const rounds = [];
    for (let round = 0; round < (isQuick || count > 1_000 ? 3 : 5); round++) {
      const times = {};
      for (const way of ways) times[way] = (await inProcess('check', way, count)).ms;
      rounds.push(times);
    }
    const ratio = (way, to) => median(rounds.map((times) => times[way] / times[to]));
    const cells = ways.map((way) =>
      way === peer ? `1 (${Math.round(median(rounds.map((times) => times[way])))} ms)` : ratio(way, peer).toFixed(2),
    );
    const ours = ratio('names', 'definitions');
    console.log(String(count).padEnd(8), ...cells.map((cell) => cell.padStart(22)), ours.toFixed(2).padStart(22));
    if (count >= 1_000 && ours > 2)
      missed.push(`${count} names are checked in ${ours.toFixed(2)} × definitions, not in 2`);
  }
  for (const count of counts) {
    const times = [];
    for (let round = 0; round < 3; round++) times.push((await inProcess('complete', 'names', count)).ms);
    const ms = median(times);
    console.log(`Completions in run(' of ${count} names: ${Math.round(ms)} ms, the slowest of five`);
    if (count === 1_000 && ms > COMPLETIONS_MS)
      missed.push(`completions take ${Math.round(ms)} ms, not ${COMPLETIONS_MS}`);
  }
  for (const goal of missed) console.log(`MISSED: ${goal}`);
  if (missed.length > 0) process.exitCode = 1;
}

const [first, what, way, count] = process.argv.slice(2);
if (first === '--measure') {
  const measured = (what === 'check' ? check : complete)(way, Number(count));
  process.send(measured, () => process.exit());
} else if (first === undefined || first === '--quick') {
  await report(first === '--quick');
} else {
  throw new Error(`Unknown: ${first}. There is --quick.`);
}
