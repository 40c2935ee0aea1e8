/** The starters, as a newcomer has them: copied out of the packed package, installed, tested, built, run, killed and run again. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { until } from '../../test/support/app.js';
import { type Running, startProcess } from '../../test/support/child-process.js';
import { freePort } from '../../test/support/private-postgres.mjs';
import { root } from '../../test/support/manual.js';
import { mailServer, sentTo } from '../../test/support/receivers.js';
import { describeWith, findPostgres } from '../../test/support/servers.js';
import { temporaryDatabase } from '../../test/transactions/temporary-database.js';

const PATIENCE_MS = 300_000;

type Environment = Readonly<Record<string, string>>;

/** A folder in which a starter is installed, tested and built, and what it runs with. */
interface App {
  readonly folder: string;
  readonly env: Environment;
}

const folder = mkdtempSync(join(tmpdir(), 'starters-'));
const postgres = await findPostgres();
const typeorm = temporaryDatabase(postgres, 'starters_typeorm');
const prisma = temporaryDatabase(postgres, 'starters_prisma');

let tarball: string;
/** What a test has started, the last first. */
const started: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  const [{ filename }] = JSON.parse(
    await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { folder: root, env: {} }),
  ) as { filename: string }[];
  tarball = join(folder, filename);
  execFileSync('tar', ['-xzf', tarball, '-C', folder]);
}, PATIENCE_MS);
afterEach(async () => {
  for (const end of started.splice(0).toReversed()) await end();
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('With nothing but Node', () => {
  works('drizzle-vitest', async () => ({ DATA_FOLDER: join(folder, 'data') }));
});

describeWith('With Postgres (DATABASE_URL, or the local server)', postgres, () => {
  works('typeorm-jest', async () => {
    await typeorm.create();
    started.push(typeorm.drop);
    return { DATABASE_URL: typeorm.url };
  });

  works('prisma', async (app) => {
    await prisma.create();
    started.push(prisma.drop);
    await migrate(join(app, 'prisma/migrations'), prisma.url);
    const env = { DATABASE_URL: prisma.url, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath };
    await run('npm', ['run', 'generate'], { folder: app, env });
    return env;
  });
});

/** @param open makes what it stores in, once it is installed */
function works(name: string, open: (folder: string) => Promise<Environment>): void {
  it(
    `${name} passes its specs, sends the e-mail, and sends it still when it was killed and the mail server was down`,
    async () => {
      const app = await prepare(name, open);
      const mails = await receive();
      const env = { ...app.env, SMTP_URL: mails.url, PORT: String(await freePort()) };

      const first = await serve({ ...app, env });
      await signUp(env.PORT, 'ada@example.com');
      await until(() => sentTo(mails.mails, 'ada@example.com').length > 0);
      await mails.close();
      await signUp(env.PORT, 'bob@example.com');
      await first.printed('ECONNREFUSED');
      first.kill('SIGKILL');
      await first.ended;

      const later = await receive(mails.port);
      await serve({ ...app, env });
      await until(() => later.mails.length > 0);
      expect(sentTo(later.mails, 'bob@example.com').map(({ subject }) => subject)).toEqual(['Welcome, Ada']);
    },
    PATIENCE_MS,
  );
}

async function prepare(name: string, open: (folder: string) => Promise<Environment>): Promise<App> {
  const app = join(folder, name);
  cpSync(join(folder, 'package/sample/starters', name), app, { recursive: true });
  const file = join(app, 'package.json');
  const settings = JSON.parse(readFileSync(file, 'utf8'));
  settings.dependencies['nestjs-callbacks'] = `file:${tarball}`;
  writeFileSync(file, JSON.stringify(settings));

  // Prisma's own script would download what it has been given.
  const ofInstall = { PRISMA_SCHEMA_ENGINE_BINARY: process.execPath };
  const install = ['install', '--no-audit', '--no-fund', '--prefer-offline'];
  await run('npm', install, { folder: app, env: ofInstall });
  const env = await open(app);
  await run('npm', ['test'], { folder: app, env });
  await run('npm', ['run', 'build'], { folder: app, env });
  return { folder: app, env };
}

/** As `prisma migrate deploy` does it, for which Prisma downloads an engine. */
async function migrate(migrations: string, connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  const names = readdirSync(migrations, { withFileTypes: true }).filter((found) => found.isDirectory());
  for (const { name } of names) await client.query(readFileSync(join(migrations, name, 'migration.sql'), 'utf8'));
  await client.end();
}

/** Waits for the end of a program, and rejects with what it has printed if that is a failure. */
async function run(program: string, args: string[], { folder: cwd, env }: App): Promise<string> {
  const { code, output } = await startProcess(program, args, { cwd, env: { ...env, NODE_ENV: undefined } }).ended;
  if (code !== 0)
    throw new Error(`${program} ${args.join(' ')} in ${cwd} has ended with ${code}, and printed:\n${output}`);
  return output;
}

async function receive(port?: number) {
  const server = await mailServer({ port });
  started.push(server.close);
  return server;
}

/** Resolves when it answers, and rejects with its output if it ends instead. */
async function serve({ folder: cwd, env }: App): Promise<Running> {
  const app = startProcess(process.execPath, ['dist/main.js'], { cwd, env: { ...env, NODE_ENV: undefined } });
  started.push(() => {
    app.kill('SIGKILL');
    return app.ended;
  });
  await app.printed('Nest application successfully started');
  // It listens a moment later.
  const isListening = () =>
    fetch(`http://127.0.0.1:${env.PORT}`).then(
      (response) => response.text(),
      () => false,
    );
  await until(isListening);
  return app;
}

async function signUp(port: string, email: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/signup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify({ name: 'Ada', email }),
  });
  expect(response.status).toBe(201);
}
