/** `npm run signup` and `npm start`: the programs, each in processes of its own, on each store. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { Project } from '../test/support/child-process.js';
import { makePGliteFolder } from '../test/support/pglite-folder.js';
import { findRedisProgram, PrivateRedis } from '../test/support/private-redis.mjs';
import { mailServer, writtenTo } from '../test/support/receivers.js';
import { describeWith, findPostgres } from '../test/support/servers.js';

type Settings = Partial<Record<'DATABASE_URL' | 'ENGINE' | 'REDIS_URL' | 'DATA_FOLDER' | 'SMTP_URL' | 'PORT', string>>;

let project: Project;
beforeAll(() => {
  project = new Project();
  project.copy('sample');
});
afterAll(() => project.remove());

let base: Settings = {};
let people = 0;
const nobodyYet = () => `ada${++people}@example.org`;

/** As `npm run signup` does it. */
const signUp = (args: string[], settings: Settings = {}, input = '') =>
  project.run('sample/signup.js', { args, env: { ...base, ...settings }, input });

describe('On PGlite, npm run signup', () => {
  program(async () => ({}));

  it('asks for what it is not given; of one who has signed up already it says so, and exits with 1', async () => {
    const email = nobodyYet();
    const { code, output } = await signUp([], {}, `Bob\n${email}\n`);
    expect(output).toMatch(/^Name: E-mail: Rows go to [^]*\nWelcome, Bob\n$/);
    expect(code).toBe(0);

    const again = await signUp(['Ada', email]);
    const failed = `${email} has signed up already`;
    expect(again.output).toMatch(new RegExp(`\nUsers.add: failed, ${failed}\nNot all was done: ${failed}\n$`));
    expect(again.code).toBe(1);
  });

  it("exits with 2 when name or e-mail won't do", async () => {
    const runs = [['Ada', 'Lovelace', 'ada@example.org'], ['Ada', 'nobody'], []].map((args) => signUp(args));
    expect(await Promise.all(runs)).toEqual([
      {
        code: 2,
        output: 'Got 3 arguments, and take none or two: npm run signup -- "Ada Lovelace" ada@example.org\n',
      },
      { code: 2, output: 'email is not an e-mail address\n' },
      { code: 2, output: 'Name: E-mail: name is missing\nemail is not an e-mail address\n' },
    ]);
  });

  it('is refused beside npm start, with the pid of that, which serves on', async () => {
    const server = project.start('sample/main.js', { env: { ...base, PORT: '0' } });
    try {
      await server.printed('What became of e-mails and announcements');
      const { code, output } = await signUp(['Eve', 'eve@example.org']);
      expect(code).toBe(1);
      expect(output).toContain(`database is in use by process ${server.pid}: an embedded database serves one process.`);
      const [, url] = /Open (http:\S+), or try/.exec(server.output)!;
      expect((await fetch(url, { headers: { connection: 'close' } })).status).toBe(200);
    } finally {
      server.kill('SIGTERM');
      await server.ended;
    }
  });
});

describeWith('On Postgres (DATABASE_URL, or the local server), npm run signup', await findPostgres(), (url) => {
  const database = `npm_run_signup_${process.pid}_${Date.now()}`;
  const administer = async (statement: string, connectionString = url) => {
    const client = new pg.Client({ connectionString });
    await client.connect();
    await client.query(statement);
    await client.end();
  };
  program(async () => {
    await administer(`create database ${database}`);
    return { DATABASE_URL: Object.assign(new URL(url), { pathname: database }).href };
  });
  afterAll(() => administer(`drop database ${database}`));

  it('may be started several times at once on an empty database', async () => {
    await administer('drop table users', base.DATABASE_URL);
    const runs = [1, 2, 3].map((i) => signUp(['Eve', `eve${i}@example.org`]));
    for (const { code, output } of await Promise.all(runs)) expect([code, output]).toEqual([0, expect.any(String)]);
  });
});

describeWith('With deliveries on Redis (redis-server), npm run signup', findRedisProgram(), () => {
  let server: PrivateRedis;
  program(async () => {
    server = await PrivateRedis.start();
    return { ENGINE: 'redis', REDIS_URL: server.url };
  });
  afterAll(() => server.remove());
});

function program(open: () => Promise<Settings>): void {
  beforeAll(async () => {
    base = { DATA_FOLDER: mkdtempSync(join(tmpdir(), 'sign-up-')), ...(await open()) };
    // That a database is made where there is none is seen with PGlite alone.
    if (base.REDIS_URL) await makePGliteFolder(join(base.DATA_FOLDER!, 'database'));
  });
  afterAll(() => {
    rmSync(base.DATA_FOLDER!, { recursive: true });
    base = {};
  });

  it('takes name and e-mail, and says what each callback did', async () => {
    const email = nobodyYet();
    const { code, output } = await signUp(['Ada', email]);
    const lines = output.trim().split('\n');
    expect(lines.slice(0, 2).join('\n')).toMatch(/^Rows go to .*\nE-mails go to /);
    expect(lines.slice(2, -4).sort()).toEqual([
      expect.stringMatching(/^Would send \{"content":"Ada has joined"/),
      expect.stringMatching(/^Wrote .*\.eml$/),
    ]);
    expect(lines.slice(-4, -1).sort()).toEqual([
      'DiscordBot.announce: done',
      'Emails.greetNewUser: done',
      'Users.add: done',
    ]);
    expect([lines.at(-4), lines.at(-1), code]).toEqual(['Users.add: done', 'Welcome, Ada', 0]);
    expect(await writtenTo(join(base.DATA_FOLDER!, 'mailbox'), email)).toHaveLength(1);
  });

  it('says what is still to be tried again', async () => {
    const { url: SMTP_URL, close } = await mailServer();
    await close();
    const { code, output } = await signUp(['Ada', nobodyYet()], { SMTP_URL });
    expect(output).toMatch(/^Emails\.greetNewUser: failed, connect ECONNREFUSED/m);
    expect(output).toMatch(/^Emails\.greetNewUser: is tried again by npm start, or by the next sign-up$/m);
    expect(output).toMatch(/^Welcome, Ada$/m);
    expect(code).toBe(0);
  });
}
