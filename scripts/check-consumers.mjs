// Packs this package and installs it in fresh applications, as `nest new` makes them: Nest 11 (CommonJS, ts-jest) and
// Nest 12 (ES modules, vitest). Each must build, pass its tests and run, on every Node version supported.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NODES = process.argv.slice(2).length > 0 ? process.argv.slice(2) : ['20', '22', '24'];
const EXPECTED = [
  'first: 201 Welcome, Ada',
  'second: 409 ada@example.org has signed up already',
  'durable: Ada',
  'one class: true',
  'closed',
];

/** Jest and vitest provide these as globals. */
const withGlobals = (source) => source.replace(/^import .* from '@jest\/globals';$/m, '');

const consumers = [
  {
    name: 'nest-11',
    cli: '@nestjs/cli@11',
    fastify: '@nestjs/platform-fastify@11',
    // ts-jest finds no ".ts" for ".js", and the stock application imports without an ending.
    adapt: (source) => withGlobals(source).replace(/from '(\.\.?\/.*)\.js'/g, "from '$1'"),
    // As in applications that are older than the stock one.
    otherModes: [['--module', 'commonjs', '--moduleResolution', 'node10', '--resolvePackageJsonExports', 'false']],
    // Nest 11 differs inside: the specs of what depends on that run here too.
    specs: [
      'nest/platforms',
      'nest/scopes',
      'nest/scoped-instances',
      'nest/enhancers',
      'nest/enhancers-left-out',
      'nest/global-enhancers',
      'callbacks/order',
      'runs/early',
    ],
  },
  {
    name: 'nest-12',
    cli: '@nestjs/cli@12',
    fastify: '@nestjs/platform-fastify@12.5.0',
    adapt: (source) => withGlobals(source).replace('nestjs-callbacks/testing/jest', 'nestjs-callbacks/testing/vitest'),
    specs: ['nest/platforms'],
  },
];

const folder = mkdtempSync(join(tmpdir(), 'consumers-'));
const failures = [];
try {
  const tarball = pack();
  for (const consumer of consumers) {
    const app = create(consumer, tarball);
    attempt(`${consumer.name}: npm run build`, () => run(app, 'npm', 'run', 'build'));
    attempt(`${consumer.name}: types of its spec`, () => run(app, 'npx', 'tsc', '--noEmit', '-p', 'tsconfig.json'));
    for (const mode of consumer.otherModes ?? []) {
      const options = ['--noEmit', '-p', 'tsconfig.json', ...mode];
      attempt(`${consumer.name}: types of its spec, ${mode.join(' ')}`, () => run(app, 'npx', 'tsc', ...options));
    }
    addSpecs(consumer, app);
    for (const node of NODES) {
      const on = (...command) => run(app, 'npx', '-y', '-p', `node@${node}`, '--', ...command);
      attempt(`${consumer.name} on Node ${node}: npm test`, () => on('npm', 'test'));
      attempt(`${consumer.name} on Node ${node}: run`, () => {
        const output = on('node', 'dist/main.js');
        for (const line of EXPECTED)
          if (!output.includes(line)) throw Object.assign(new Error(line), { stdout: output });
      });
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(failures.length === 0 ? 'All consumers work.' : `Failed: ${failures.join('; ')}`);
process.exitCode = failures.length === 0 ? 0 : 1;

function pack() {
  run(root, 'npm', 'run', 'build');
  const [{ filename }] = JSON.parse(
    run(root, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', folder),
  );
  return join(folder, filename);
}

function create({ name, cli, fastify, adapt }, tarball) {
  const app = join(folder, name);
  run(folder, 'npx', '-y', cli, 'new', name, '--skip-git', '--package-manager', 'npm', '--strict');
  run(app, 'npm', 'install', tarball, fastify, 'pg-boss@12.38.0', '@electric-sql/pglite@0.5.16');
  for (const unused of ['app.controller.ts', 'app.controller.spec.ts', 'app.service.ts'])
    rmSync(join(app, 'src', unused));
  for (const file of ['app.module.ts', 'main.ts']) write(app, adapt, `consumers/${file}`, file);
  write(app, adapt, 'consumers/app.spec.txt', 'app.spec.ts');
  return app;
}

/** Whose events the application does not declare. */
function addSpecs({ adapt, specs }, app) {
  write(app, adapt, 'support/app.ts', 'support/app.ts');
  for (const spec of specs) write(app, adapt, `${spec}.spec.ts`, `${spec}.spec.ts`);
}

function write(app, adapt, from, to) {
  mkdirSync(dirname(join(app, 'src', to)), { recursive: true });
  writeFileSync(join(app, 'src', to), adapt(readFileSync(join(root, 'test', from), 'utf8')));
}

function attempt(what, work) {
  const startedAt = performance.now();
  try {
    work();
    console.log(`ok   ${what} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failures.push(what);
    console.log(`FAIL ${what}\n${error.stdout ?? ''}${error.stderr ?? error.stack}`);
  }
}

function run(cwd, command, ...args) {
  return execFileSync(command, args, {
    cwd,
    encoding: 'utf8',
    stdio: 'pipe',
    env: { ...process.env, CI: '', NO_COLOR: '1' },
  });
}
