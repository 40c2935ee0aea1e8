// Packs this package and has compilers, from the oldest that the README names to the newest, read its declarations with
// skipLibCheck: false: by each resolution of modules, with Nest 11 and 12, with and without optional peers. And compiles
// applications that use a library of the other module format, which declares events of its own.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const COMPILERS = ['5.0', '6.0', 'latest'];
const PEERS = ['@jest/globals@30', 'vitest@4', '@nestjs-cls/transactional@3.3.0', 'nestjs-cls@6', 'pg-boss@12.38.0'];
const [oldest, , newest] = COMPILERS;

const source = (name) => readFileSync(join(root, 'test/consumers/declarations', `${name}.txt`), 'utf8');
const run = (cwd, command, ...args) => execFileSync(command, args, { cwd, encoding: 'utf8', stdio: 'pipe' });

const folder = mkdtempSync(join(tmpdir(), 'declarations-'));
const failures = [];
try {
  run(root, 'npm', 'run', 'build');
  const packed = run(root, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', folder);
  const tarball = join(folder, JSON.parse(packed)[0].filename);
  install('compilers', ...COMPILERS.map((version) => `typescript-${version}@npm:typescript@${version}`));
  for (const nest of [11, 12]) {
    const needed = [
      tarball,
      `@nestjs/common@${nest}`,
      `@nestjs/core@${nest}`,
      'reflect-metadata',
      'rxjs',
      '@types/node@20',
    ];
    for (const peers of [[], PEERS]) {
      const app = install(`nest-${nest}${peers.length > 0 ? '-peers' : ''}`, ...needed, ...peers);
      const text = source('entries') + (peers.length > 0 ? source('peers') : '');
      for (const ending of ['ts', 'mts', 'cts']) writeFileSync(join(app, `entries.${ending}`), text);
      for (const compiler of COMPILERS) checkEntries(app, nest, compiler);
    }
    for (const compiler of COMPILERS) checkLibrary(join(folder, `nest-${nest}`), nest, compiler);
    // Its newest declarations are not for all compilers.
    add(join(folder, `nest-${nest}-peers`), '@types/node@latest');
    checkEntries(join(folder, `nest-${nest}-peers`), nest, newest);
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(failures.length === 0 ? 'All declarations compile.' : `Failed: ${failures.join('; ')}`);
process.exitCode = failures.length === 0 ? 0 : 1;

function install(name, ...packages) {
  const app = join(folder, name);
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), JSON.stringify({ private: true, type: 'commonjs' }));
  add(app, ...packages);
  return app;
}

function add(app, ...packages) {
  run(app, 'npm', 'install', '--legacy-peer-deps', '--no-audit', '--no-fund', ...packages);
}

function checkEntries(app, nest, compiler) {
  for (const mode of ['node16', 'nodenext']) {
    compile(app, compiler, mode, ['entries.mts']);
    // Compilers before 5.8, and node16 in all, let no CommonJS file import Nest 12, which is ES modules only.
    if (nest === 11 || (mode === 'nodenext' && compiler !== oldest)) compile(app, compiler, mode, ['entries.cts']);
  }
  compile(app, compiler, 'bundler', ['entries.ts'], 'esnext');
  if (compiler !== newest) compile(app, compiler, 'node10', ['entries.ts'], 'commonjs');
}

/** A compiler reads a file's imports first: so the application's events are declared before the library's, and after them. */
function checkLibrary(app, nest, compiler) {
  // A library of CommonJS cannot import Nest 12 there either.
  if (nest === 12 && compiler === oldest) return;
  for (const [type, ending] of [
    ['commonjs', 'mts'],
    ['module', 'cts'],
  ]) {
    if (ending === 'cts' && compiler === oldest) continue; // may import no ES modules
    const library = join(app, 'node_modules/library');
    mkdirSync(library, { recursive: true });
    writeFileSync(join(library, 'package.json'), JSON.stringify({ name: 'library', type, types: 'index.d.ts' }));
    writeFileSync(join(library, 'index.d.ts'), source('library'));
    writeFileSync(join(app, `application.${ending}`), source('application'));
    const early = `import 'nestjs-callbacks';\ndeclare module 'nestjs-callbacks' { interface EventMap { early: [] } }\n`;
    writeFileSync(join(app, `early.${ending}`), early);
    for (const mode of ending === 'mts' && nest === 11 ? ['node16', 'nodenext'] : ['nodenext']) {
      compile(app, compiler, mode, [`application.${ending}`]);
      compile(app, compiler, mode, [`early.${ending}`, `application.${ending}`]);
    }
  }
}

/** Compiles files, and fails at what is said of them or of this package: other packages may have faults of their own. */
function compile(app, compiler, resolution, files, module = resolution) {
  const what = `${app.slice(folder.length + 1)}, TypeScript ${compiler}, ${resolution}: ${files.join(', ')}`;
  // The oldest library of the language that Nest's own declarations take.
  const lib = compiler === oldest ? 'es2021' : 'es2022';
  const options = `--noEmit --strict --pretty false --skipLibCheck false --experimentalDecorators --target ${lib} --lib ${lib} --types node`;
  const deprecated = resolution === 'node10' && compiler === '6.0' ? ['--ignoreDeprecations', '6.0'] : [];
  const tsc = join(folder, 'compilers/node_modules', `typescript-${compiler}`, 'bin/tsc');
  const modes = ['--module', module, '--moduleResolution', resolution, ...deprecated];
  let output = '';
  try {
    run(app, process.execPath, tsc, ...options.split(' '), ...modes, ...files);
  } catch (error) {
    output = `${error.stdout}${error.stderr}`;
  }
  const lines = output
    .split('\n')
    .filter((line) => /nestjs-callbacks\/dist|^(?:entries|application|early)\.|^error/.test(line));
  if (lines.length > 0) failures.push(what);
  console.log([`${lines.length > 0 ? 'FAIL' : 'ok  '} ${what}`, ...lines].join('\n'));
}
