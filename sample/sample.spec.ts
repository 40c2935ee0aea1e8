/** The sign-up application, with what it talks to: a real database, a real mail server, a real webhook receiver. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { type ParsedMail, simpleParser } from 'mailparser';
import pg from 'pg';
import { SMTPServer } from 'smtp-server';
import { Log, until } from '../test/app.js';
import { Project } from '../test/child-process.js';
import { describeWith, findPostgres } from '../test/servers.js';
import { AppModule } from './app.module.js';

const postgres = await findPostgres();
const SETTINGS = ['DATABASE_URL', 'DATA_FOLDER', 'SMTP_URL', 'DISCORD_WEBHOOK_URL'] as const;
type Settings = Partial<Record<(typeof SETTINGS)[number], string>>;

const inherited = Object.fromEntries(SETTINGS.map((name) => [name, process.env[name]]));
let base: Settings;
let log: Log;
let app: INestApplication | undefined;
let project: Project;
let running: string | undefined;
let people = 0;

beforeAll(() => {
  project = new Project();
  project.copy('sample');
});
afterAll(() => project.remove());
/** Starts the application as `npm start` does, unless it runs with these settings already. */
async function start(settings: Settings = {}): Promise<string> {
  const wanted = JSON.stringify({ ...base, ...settings });
  if (wanted !== running) {
    await stop();
    for (const name of SETTINGS) {
      const value = { ...base, ...settings }[name];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    log = new Log();
    app = await NestFactory.create(AppModule, { logger: log, abortOnError: false });
    await app.listen(0, '127.0.0.1');
    running = wanted;
  }
  return `http://127.0.0.1:${app!.getHttpServer().address().port}`;
}

async function stop(): Promise<void> {
  await app?.close();
  app = running = undefined;
  Object.assign(process.env, inherited);
  for (const name of SETTINGS) if (inherited[name] === undefined) delete process.env[name];
}

const nobodyYet = () => ({ name: 'Ada', email: `ada${++people}@example.org` });

async function post(url: string, body: unknown): Promise<[status: number, body: any]> {
  const response = await fetch(`${url}/signup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify(body),
  });
  return [response.status, await response.json()];
}

async function submit(url: string, fields: Record<string, string>): Promise<[status: number, page: string]> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { connection: 'close' },
    body: new URLSearchParams(fields),
  });
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  return [response.status, await response.text()];
}

const mailbox = async (): Promise<ParsedMail[]> => {
  const folder = join(base.DATA_FOLDER!, 'mailbox');
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return Promise.all(files.map((file) => simpleParser(readFileSync(join(folder, file)))));
};
const sentTo = (mails: ParsedMail[], address: string) =>
  mails.filter(({ to }) => [to].flat().some((list) => list?.value.some((one) => one.address === address)));

const done = (...callbacks: string[]) => callbacks.map((callback) => ({ callback, status: 'done' }));

/** An HTTP server that answers each request by `status`, or never. */
async function receiver(status: number | 'never') {
  const bodies: unknown[] = [];
  const server: Server = createServer(async (request, response) => {
    const chunks = await request.toArray();
    bodies.push(JSON.parse(Buffer.concat(chunks).toString()));
    if (status !== 'never') response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(resolve);
    });
  return { bodies, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhook`, close };
}

/** A mail server that takes everything, or nothing. */
async function mailServer({ port = 0, refuses = false } = {}) {
  const mails: ParsedMail[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onRcptTo: (_address, _session, callback) =>
      callback(refuses ? Object.assign(new Error('no such mailbox'), { responseCode: 550 }) : null),
    onData: (stream, _session, callback) => {
      simpleParser(stream).then((mail) => {
        mails.push(mail);
        callback();
      }, callback);
    },
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  const { port: actual } = server.server.address() as AddressInfo;
  return {
    mails,
    port: actual,
    url: `smtp://127.0.0.1:${actual}`,
    close: () => new Promise<void>((resolve) => server.close(resolve)),
  };
}

describe('On PGlite', () => {
  beforeAll(() => {
    base = { DATA_FOLDER: mkdtempSync(join(tmpdir(), 'sign-up-')) };
  });
  afterAll(async () => {
    await stop();
    rmSync(base.DATA_FOLDER!, { recursive: true });
  });

  signUpSpecs();

  it('a second process on the folder is refused, with the pid of the first', async () => {
    await start();
    const second = await project.run('sample/signup.js', { args: ['Eve', 'eve@example.org'], env: base });

    expect(second.code).toBe(1);
    expect(second.output).toContain(
      `database is in use by process ${process.pid}: an embedded database serves one process.`,
    );
  });
});

describeWith('On Postgres (DATABASE_URL, or the local server)', postgres, (url) => {
  const schema = `sign_up_${process.pid}_${Date.now()}`;
  const administer = async (statement: string) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(statement);
    await client.end();
  };
  beforeAll(async () => {
    await administer(`create schema ${schema}`);
    const scoped = new URL(url);
    scoped.searchParams.set('options', `-c search_path=${schema}`);
    base = { DATABASE_URL: scoped.href, DATA_FOLDER: mkdtempSync(join(tmpdir(), 'sign-up-')) };
  });
  afterAll(async () => {
    await stop();
    await administer(`drop schema ${schema} cascade`);
    rmSync(base.DATA_FOLDER!, { recursive: true });
  });

  signUpSpecs();

  it('several instances may start at once on an empty database', async () => {
    await administer(`drop table ${schema}.users`);
    const runs = [1, 2, 3].map((i) =>
      project.run('sample/signup.js', { args: ['Eve', `eve${i}@example.org`], env: base }),
    );
    for (const { code, output } of await Promise.all(runs)) expect([code, output]).toEqual([0, expect.any(String)]);
  });
});

function signUpSpecs() {
  describe('POST /signup', () => {
    it('writes the row, sends the e-mail, and says where they go', async () => {
      const url = await start();
      const ada = nobodyYet();

      expect(await post(url, ada)).toEqual([201, { message: 'Welcome, Ada', happened: done('Users.add') }]);

      await until(async () => sentTo(await mailbox(), ada.email).length > 0);
      const [mail] = sentTo(await mailbox(), ada.email);
      expect([mail.subject, mail.text]).toEqual(['Welcome, Ada', 'Hello Ada,\n\ngood to have you with us.\n']);
      expect(mail.messageId).toMatch(/^<[\da-f-]{36}@example\.org>$/);
      expect(log.of('log').join('\n')).toMatch(/Rows go to /);
      expect(log.of('log').join('\n')).toContain(`E-mails go to ${base.DATA_FOLDER}/mailbox`);
    });

    it('refuses a second sign-up with the same e-mail with 409 and sends nothing, also after a restart', async () => {
      const ada = nobodyYet();
      await post(await start(), ada);
      await until(async () => sentTo(await mailbox(), ada.email).length > 0);
      await stop();
      const url = await start();

      const [status, body] = await post(url, { name: 'Eve', email: ada.email.toUpperCase() });

      expect([status, body.message]).toEqual([409, `${ada.email.toUpperCase()} has signed up already`]);
      expect(body.happened).toEqual([{ callback: 'Users.add', status: 'failed', error: body.message }]);
      expect(sentTo(await mailbox(), ada.email)).toHaveLength(1);
      expect(sentTo(await mailbox(), ada.email.toUpperCase())).toHaveLength(0);
    });

    it('lets one of two sign-ups at the same time through', async () => {
      const url = await start();
      const ada = nobodyYet();
      const statuses = await Promise.all([post(url, ada), post(url, ada)]);
      expect(statuses.map(([status]) => status).sort()).toEqual([201, 409]);
      await until(async () => sentTo(await mailbox(), ada.email).length > 0);
      expect(sentTo(await mailbox(), ada.email)).toHaveLength(1);
    });

    it.each([
      [{ name: 'Ada', email: 'nobody' }, ['email: is not an e-mail address']],
      [
        { name: ' ', email: 'ada@example.org\r\nBcc: all@example.org' },
        ['name: is missing', 'email: is not an e-mail address'],
      ],
      [{}, ['name: is missing', 'email: is missing']],
    ])('refuses %j with 400, before anything happens', async (body, message) => {
      expect(await post(await start(), body)).toEqual([400, expect.objectContaining({ message, happened: [] })]);
    });

    it('sends through the mail server that SMTP_URL names', async () => {
      const server = await mailServer();
      const ada = nobodyYet();
      const [status] = await post(await start({ SMTP_URL: server.url }), ada);
      await until(() => server.mails.length === 1);
      await stop();
      await server.close();

      expect(status).toBe(201);
      expect(server.mails.map(({ subject }) => subject)).toEqual(['Welcome, Ada']);
      expect(sentTo(server.mails, ada.email)).toHaveLength(1);
    });

    it('with the mail server down answers at once, and the e-mail arrives when it is back, after a restart too', async () => {
      const { port, url: SMTP_URL, close } = await mailServer();
      await close();
      const ada = nobodyYet();
      expect((await post(await start({ SMTP_URL }), ada))[0]).toBe(201);
      await until(() =>
        log.of('warn').some((line) => /Emails\.greetNewUser failed at attempt 1 of 20.*ECONNREFUSED/.test(line)),
      );
      await stop();
      await start({ SMTP_URL });
      const server = await mailServer({ port });
      await until(() => server.mails.length === 1);
      expect(sentTo(server.mails, ada.email)).toHaveLength(1);
      await stop();
      await server.close();
    }, 40_000);

    it('shows an e-mail that the server refuses for good among the dead, and a button has it tried again', async () => {
      const refusing = await mailServer({ refuses: true });
      const { port } = refusing;
      const url = await start({ SMTP_URL: refusing.url });
      const ada = nobodyYet();
      await post(url, ada);
      const show = async () => (await fetch(`${url}/deliveries`, { headers: { connection: 'close' } })).text();
      await until(async () => (await show()).includes('Retry all'));
      const page = await show();
      expect(page).toContain(`${ada.email} does not take it: `);
      expect(page).toContain(`1 attempt, dead since `);
      await refusing.close();

      const server = await mailServer({ port });
      const id = /name="id" value="([\da-f-]+)"/.exec(page)![1];
      const answer = await fetch(`${url}/deliveries/retry`, {
        method: 'POST',
        redirect: 'manual',
        headers: { connection: 'close' },
        body: new URLSearchParams({ callback: 'Emails.greetNewUser', id }),
      });
      expect([answer.status, answer.headers.get('location')]).toEqual([303, '/deliveries']);
      await until(() => server.mails.length === 1);
      expect(sentTo(server.mails, ada.email)).toHaveLength(1);
      expect(await show()).not.toContain('Retry all');
      await stop();
      await server.close();
    }, 40_000);

    it('tells Discord, without pinging anybody', async () => {
      const discord = await receiver(204);
      const [status] = await post(await start({ DISCORD_WEBHOOK_URL: discord.url }), nobodyYet());
      await until(() => discord.bodies.length === 1);
      await stop();
      await discord.close();

      expect(status).toBe(201);
      expect(discord.bodies).toEqual([{ content: 'Ada has joined', allowed_mentions: { parse: [] } }]);
    });

    it('succeeds though Discord fails, and tells it again', async () => {
      const discord = await receiver(500);
      const [status] = await post(await start({ DISCORD_WEBHOOK_URL: discord.url }), nobodyYet());
      await until(() => discord.bodies.length === 2);
      await stop();
      await discord.close();

      expect(status).toBe(201);
      expect(log.of('warn')[0]).toContain(
        '"user_joined": DiscordBot.announce failed at attempt 1 of 20, with the next in ',
      );
      expect(log.of('warn')[0]).toContain('Discord answered 500 Internal Server Error');
    });

    it('does not wait for a Discord that never answers', async () => {
      const discord = await receiver('never');
      const [status] = await post(await start({ DISCORD_WEBHOOK_URL: discord.url }), nobodyYet());
      expect(status).toBe(201);
      await until(() => discord.bodies.length === 1);
      await discord.close();
      await stop();
    });
  });

  describe('The page', () => {
    it('shows the form', async () => {
      const page = await (await fetch(await start(), { headers: { connection: 'close' } })).text();
      expect(page).toContain('<form method="post" action="/">');
      expect(page).not.toContain('<script');
    });

    it('signs up, and shows what happened', async () => {
      const [status, page] = await submit(await start(), { ...nobodyYet(), name: '<b>Ada' });
      expect(status).toBe(200);
      expect(page).toContain('<p role="status">Welcome, &lt;b&gt;Ada</p>');
      expect(page).toContain('<li>✓ Users.add</li>');
      expect(page).toContain('<a href="/deliveries">deliveries</a>');
    });

    it('shows what went wrong, with what had been typed', async () => {
      const url = await start();
      const ada = nobodyYet();
      await submit(url, ada);
      const [taken, again] = await submit(url, ada);
      const [bad, page] = await submit(url, { name: '"Ada"', email: 'nobody' });

      expect(taken).toBe(409);
      expect(again).toContain(`<p role="alert">${ada.email} has signed up already</p>`);
      expect(again).toContain(`<li>✗ Users.add: ${ada.email} has signed up already</li>`);
      expect(bad).toBe(400);
      expect(page).toContain('<p role="alert">email: is not an e-mail address</p>');
      expect(page).toContain('value="&quot;Ada&quot;"');
    });
  });

  describe('npm run signup', () => {
    beforeAll(stop);

    const signup = (...args: string[]) => project.run('sample/signup.js', { args, env: { ...base } });

    it('takes name and e-mail, says what each callback did, and exits with 0', async () => {
      const { name, email } = nobodyYet();
      const { code, output } = await signup(name, email);
      const lines = output.trim().split('\n');
      expect(lines.at(-4)).toBe('Users.add: done');
      expect(lines.slice(-3, -1).sort()).toEqual(['DiscordBot.announce: done', 'Emails.greetNewUser: done']);
      expect(lines.at(-1)).toBe('Welcome, Ada');
      expect(lines.slice(0, 2)).toEqual([
        expect.stringMatching(/^Rows go to /),
        expect.stringMatching(/^E-mails go to /),
      ]);
      expect(lines.slice(2, -4)).toEqual(
        expect.arrayContaining([
          expect.stringMatching(/^Would send \{"content":"Ada has joined"/),
          expect.stringMatching(/^Wrote .*\.eml$/),
        ]),
      );
      expect(code).toBe(0);
      expect(sentTo(await mailbox(), email)).toHaveLength(1);
    });

    it('asks for what it is not given', async () => {
      const { email } = nobodyYet();
      const { code, output } = await project.run('sample/signup.js', { env: base, input: `Bob\n${email}\n` });
      expect(output).toMatch(/^Name: E-mail: Rows go to /);
      expect(output).toMatch(/\nWelcome, Bob\n$/);
      expect(code).toBe(0);
    });

    it('says what is still to be tried again', async () => {
      const server = await mailServer();
      await server.close();
      const { name, email } = nobodyYet();
      const { code, output } = await project.run('sample/signup.js', {
        args: [name, email],
        env: { ...base, SMTP_URL: server.url },
      });
      expect(output).toMatch(/^Emails\.greetNewUser: failed, connect ECONNREFUSED/m);
      expect(output).toMatch(/^Emails\.greetNewUser: is tried again by npm start, or by the next sign-up$/m);
      expect(output).toMatch(/^Welcome, Ada$/m);
      expect(code).toBe(0);
    });

    it('exits with 1 when a callback failed, and says which', async () => {
      const { name, email } = nobodyYet();
      await signup(name, email);
      const { code, output } = await signup(name, email);
      expect(output.trim().split('\n').slice(-2)).toEqual([
        `Users.add: failed, ${email} has signed up already`,
        `Not all was done: ${email} has signed up already`,
      ]);
      expect(code).toBe(1);
    });

    it("exits with 2 when name or e-mail won't do", async () => {
      expect(await signup('Ada', 'Lovelace', 'ada@example.org')).toEqual({
        code: 2,
        output: 'Got 3 arguments, and take none or two: npm run signup -- "Ada Lovelace" ada@example.org\n',
      });
      expect(await signup('Ada', 'nobody')).toEqual({ code: 2, output: 'email is not an e-mail address\n' });
      expect(await project.run('sample/signup.js', { env: base, input: '' })).toEqual({
        code: 2,
        output: 'Name: E-mail: name is missing\nemail is not an e-mail address\n',
      });
    });
  });
}
