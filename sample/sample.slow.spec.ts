/** The sign-up application: its modules each alone, and the whole on a real database; with a real mail server and webhook. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ConflictException, type INestApplication, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { EventDeliveries, EventRunner } from 'nestjs-callbacks';
import { TestEvents, TestEventsModule, type TestEventsOptions } from 'nestjs-callbacks/testing';
import 'nestjs-callbacks/testing/jest';
import pg from 'pg';
import { Log, until } from '../test/support/app.js';
import { makePGliteFolder } from '../test/support/pglite-folder.js';
import { findRedisProgram, PrivateRedis } from '../test/support/private-redis.mjs';
import { mailServer, sentTo, webhook, writtenTo } from '../test/support/receivers.js';
import { describeWith, findPostgres } from '../test/support/servers.js';
import { AppModule } from './app.module.js';
import { Database } from './database/database.js';
import { Users } from './database/users.js';
import { DiscordModule } from './discord/discord.module.js';
import { EmailsModule } from './emails/emails.module.js';
import { SignupModule } from './signup/signup.module.js';

type Settings = Partial<
  Record<'DATABASE_URL' | 'ENGINE' | 'REDIS_URL' | 'DATA_FOLDER' | 'SMTP_URL' | 'DISCORD_WEBHOOK_URL', string>
>;
type Closing = { close(): Promise<unknown> };

const environment = { ...process.env };
let base: Settings = {};
let log: Log;
let app: INestApplication;
let events: TestEvents;
let people = 0;

const closing: Closing[] = [];
const closedAfterwards = <T extends Closing>(one: T): T => (closing.push(one), one);
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.close();
  process.env = { ...environment };
});

async function start(module: Type, settings: Settings = {}, options: TestEventsOptions = {}): Promise<void> {
  Object.assign(process.env, base, settings);
  log = new Log();
  const providers = module === AppModule ? [] : [Users, { provide: Database, useValue: { query: async () => [] } }];
  const testing = Test.createTestingModule({ imports: [module, TestEventsModule.forRoot(options)], providers });
  app = closedAfterwards((await testing.setLogger(log).compile()).createNestApplication());
  await app.listen(0, '127.0.0.1');
  events = app.get(TestEvents);
}

const adaJoins = () => app.get(EventRunner).run('user_joined', 'Ada', 'ada@example.org');
const nobodyYet = () => ({ name: 'Ada', email: `ada${++people}@example.org` });

async function request(path: string, body?: object): Promise<{ status: number; text: string; response: Response }> {
  const isForm = body === undefined || body instanceof URLSearchParams;
  const response = await fetch((await app.getUrl()) + path, {
    method: body ? 'POST' : 'GET',
    redirect: 'manual',
    headers: { connection: 'close', ...(!isForm && { 'content-type': 'application/json' }) },
    body: isForm ? body : JSON.stringify(body),
  });
  return { status: response.status, text: await response.text(), response };
}
const signUp = async (body: object) => {
  const { status, text } = await request('/signup', body);
  return [status, JSON.parse(text)];
};
const submit = (name: string, email: string) => request('/', new URLSearchParams({ name, email }));

describe('The greeting', () => {
  it('is sent through the mail server that SMTP_URL names', async () => {
    const { url, mails } = closedAfterwards(await mailServer());
    await start(EmailsModule, { SMTP_URL: url });
    await adaJoins();
    await events.settled();
    const [{ subject, text, messageId }] = sentTo(mails, 'ada@example.org');
    expect([subject, text]).toEqual(['Welcome, Ada', 'Hello Ada,\n\ngood to have you with us.\n']);
    expect(messageId).toMatch(/^<[\da-f-]{36}@example\.org>$/);
  });

  it('is sent when the mail server is back, though that takes an hour', async () => {
    const { url, port, close } = await mailServer();
    await close();
    await start(EmailsModule, { SMTP_URL: url });
    await adaJoins();
    await events.advance(60 * 60_000);
    expect(events).toHaveFailed('Emails.greetNewUser', 'ECONNREFUSED');
    const { mails } = closedAfterwards(await mailServer({ port }));
    await events.settled();
    expect(mails).toHaveLength(1);
  });

  it('is dead at once when the server refuses it for good', async () => {
    const { url } = closedAfterwards(await mailServer({ refuses: true }));
    await start(EmailsModule, { SMTP_URL: url });
    await adaJoins();
    await events.settled();
    expect((await app.get(EventDeliveries).list()).found).toMatchObject([
      { attempts: 1, arguments: ['Ada', 'ada@example.org'] },
    ]);
    expect(events).toHaveFailed('Emails.greetNewUser', 'ada@example.org does not take it: ');
  });
});

describe('The announcement', () => {
  it('tells Discord, without pinging anybody', async () => {
    const { url, bodies } = closedAfterwards(await webhook(204));
    await start(DiscordModule, { DISCORD_WEBHOOK_URL: url });
    await adaJoins();
    await events.settled();
    expect(bodies).toEqual([{ content: 'Ada has joined', allowed_mentions: { parse: [] } }]);
  });

  it('is made again when Discord fails', async () => {
    const { url, bodies } = closedAfterwards(await webhook(500));
    await start(DiscordModule, { DISCORD_WEBHOOK_URL: url });
    await adaJoins();
    await events.advance(3_000);
    expect(events).toHaveFailed('DiscordBot.announce', 'Discord answered 500 Internal Server Error');
    expect(bodies).toHaveLength(3);
  });

  it('keeps nobody waiting when Discord never answers', async () => {
    const { url, bodies, close } = await webhook('never');
    await start(DiscordModule, { DISCORD_WEBHOOK_URL: url });
    await adaJoins();
    await until(() => bodies.length === 1);
    await close();
  });
});

describe('A sign-up', () => {
  it.each([
    [{ name: 'Ada', email: 'nobody' }, ['email: is not an e-mail address']],
    [{ name: ' ', email: 'a@b.org\r\nBcc: all@b.org' }, ['name: is missing', 'email: is not an e-mail address']],
    [{}, ['name: is missing', 'email: is missing']],
  ])('of %j is refused with 400, before anything happens', async (body, message) => {
    await start(SignupModule);
    expect(await signUp(body)).toEqual([400, expect.objectContaining({ message, happened: [] })]);
    expect(events).not.toHaveRun('user_joined');
  });

  it('has a page with a form, which shows what happened', async () => {
    await start(SignupModule);
    const form = await request('/');
    expect(form.response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(form.text).toContain('<form method="post" action="/">');
    expect(form.text).not.toContain('<script');

    const { status, text } = await submit('<b>Ada', 'ada@example.org');
    expect(status).toBe(200);
    expect(text).toContain('<p role="status">Welcome, &lt;b&gt;Ada</p>');
    expect(text).toContain('<li>✓ Users.add</li>');
    expect(text).toContain('<a href="/deliveries">deliveries</a>');
    expect(events).toHaveRun('user_joined', '<b>Ada', 'ada@example.org');
  });

  it('has a page that shows what went wrong, with what had been typed', async () => {
    await start(SignupModule);
    events.fail('Users.add', { error: new ConflictException('Ada has signed up already') });
    const taken = await submit('Ada', 'ada@example.org');
    expect(taken.status).toBe(409);
    expect(taken.text).toContain('<p role="alert">Ada has signed up already</p>');
    expect(taken.text).toContain('<li>✗ Users.add: Ada has signed up already</li>');

    const { status, text } = await submit('"Ada"', 'nobody');
    expect(status).toBe(400);
    expect(text).toContain('<p role="alert">email: is not an e-mail address</p>');
    expect(text).toContain('value="&quot;Ada&quot;"');
  });
});

describe('On PGlite', () => {
  wholeApplication(async () => ({}));
});

describeWith('On Postgres (DATABASE_URL, or the local server)', await findPostgres(), (url) => {
  const database = `sign_up_${process.pid}_${Date.now()}`;
  const administer = async (statement: string) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(statement);
    await client.end();
  };
  wholeApplication(async () => {
    await administer(`create database ${database}`);
    return { DATABASE_URL: Object.assign(new URL(url), { pathname: database }).href };
  });
  afterAll(() => administer(`drop database ${database}`));
});

describeWith('With deliveries on Redis (redis-server)', findRedisProgram(), () => {
  let server: PrivateRedis;
  wholeApplication(async () => {
    server = await PrivateRedis.start();
    return { ENGINE: 'redis', REDIS_URL: server.url };
  });
  afterAll(() => server.remove());
});

function wholeApplication(open: () => Promise<Settings>): void {
  beforeAll(async () => {
    base = { DATA_FOLDER: mkdtempSync(join(tmpdir(), 'sign-up-')), ...(await open()) };
    if (!base.DATABASE_URL) await makePGliteFolder(join(base.DATA_FOLDER!, 'database'));
  });
  afterAll(() => {
    rmSync(base.DATA_FOLDER!, { recursive: true });
    base = {};
  });
  const restart = async (settings?: Settings) => {
    if (closing.length > 0) await closing.pop()!.close();
    await start(AppModule, settings, { keepsEngine: true });
  };
  /** Where no server is named. */
  const inMailbox = (email: string) => writtenTo(join(base.DATA_FOLDER!, 'mailbox'), email);

  it('writes the row, sends the e-mail, tells Discord, and says where they go', async () => {
    await restart();
    const { name, email } = nobodyYet();
    const happened = [{ callback: 'Users.add', status: 'done' }];
    expect(await signUp({ name, email })).toEqual([201, { message: 'Welcome, Ada', happened }]);
    await events.settled();
    expect((await inMailbox(email)).map(({ subject }) => subject)).toEqual(['Welcome, Ada']);
    expect(events).toHaveCalled('DiscordBot.announce', name, email);
    expect(log.of('log').join('\n')).toMatch(/Rows go to /);
    expect(log.of('log').join('\n')).toContain(`E-mails go to ${base.DATA_FOLDER}/mailbox`);
  });

  it('refuses a second sign-up with the same e-mail with 409 and sends nothing, also after a restart', async () => {
    const { email } = nobodyYet();
    await restart();
    await signUp({ name: 'Ada', email });
    await events.settled();
    await restart();
    const message = `${email.toUpperCase()} has signed up already`;
    const happened = [{ callback: 'Users.add', status: 'failed', error: message }];
    expect(await signUp({ name: 'Eve', email: email.toUpperCase() })).toEqual([
      409,
      expect.objectContaining({ message, happened }),
    ]);
    await events.settled();
    expect(events).not.toHaveCalled('Emails.greetNewUser');
    expect(await inMailbox(email)).toHaveLength(1);
  });

  it('lets one of two sign-ups at the same time through', async () => {
    await restart();
    const ada = nobodyYet();
    const answers = await Promise.all([signUp(ada), signUp(ada)]);
    await events.settled();
    expect(answers.map(([status]) => status).sort()).toEqual([201, 409]);
    expect(await inMailbox(ada.email)).toHaveLength(1);
  });

  it('with the mail server down answers at once, and the e-mail arrives when it is back, after a restart too', async () => {
    const { port, url: SMTP_URL, close } = await mailServer();
    await close();
    await restart({ SMTP_URL });
    const ada = nobodyYet();
    expect((await signUp(ada))[0]).toBe(201);
    await until(() => events.callsOf('Emails.greetNewUser').some(({ status }) => status === 'rejected'));
    expect(events).toHaveFailed('Emails.greetNewUser', 'ECONNREFUSED');
    await restart({ SMTP_URL });
    const server = closedAfterwards(await mailServer({ port }));
    await until(() => server.mails.length === 1);
    expect(sentTo(server.mails, ada.email)).toHaveLength(1);
  });

  it('shows an e-mail that the server refuses for good among the dead, and a button has it tried again', async () => {
    const refusing = await mailServer({ refuses: true });
    await restart({ SMTP_URL: refusing.url });
    const { name, email } = nobodyYet();
    await signUp({ name, email });
    await events.settled();
    await refusing.close();
    const { text } = await request('/deliveries');
    expect(text).toContain('Retry all');
    expect(text).toContain(`${email} does not take it: `);
    expect(text).toContain(`1 attempt, dead since `);

    const server = closedAfterwards(await mailServer({ port: refusing.port }));
    const id = /name="id" value="([\da-f-]+)"/.exec(text)![1];
    const retry = new URLSearchParams({ event: 'user_joined', callback: 'Emails.greetNewUser', id });
    const { status, response } = await request('/deliveries/retry', retry);
    expect([status, response.headers.get('location')]).toEqual([303, '/deliveries']);
    await events.settled();
    expect(sentTo(server.mails, email)).toHaveLength(1);
    expect((await request('/deliveries')).text).not.toContain('Retry all');
  });
}
