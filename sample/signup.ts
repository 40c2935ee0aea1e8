import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConsoleLogger, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventDeliveries, EventRunner, EventsInspector, type KeptEvent } from 'nestjs-callbacks';
import { AppModule } from './app.module.js';
import { signUp } from './signup/sign-up.js';
import { type Step, WhatHappened } from './what-happened.js';

// `npm run signup [name e-mail]`. Its exit status: 0 signed up, 1 a callback failed, 2 name or e-mail won't do.

const PATIENCE_MS = 10_000;

/** What the modules say of their work, without what Nest says of its own. */
class Quiet extends ConsoleLogger {
  override log(message: string, context?: string) {
    if (['Database', 'Mailer', 'DiscordBot'].includes(context!)) console.log(message);
  }
  override debug() {}
}

const given = process.argv.slice(2);
if (given.length !== 0 && given.length !== 2) {
  console.error(
    `Got ${given.length} arguments, and take none or two: npm run signup -- "Ada Lovelace" ada@example.org`,
  );
  process.exit(2);
}
const [name, email] = given.length === 2 ? given : await ask('Name: ', 'E-mail: ');
const asked = signUp.safeParse({ name, email });
if (asked.success) {
  process.exitCode = await run(asked.data.name, asked.data.email);
} else {
  for (const { path, message } of asked.error.issues) console.error(`${path.join('.')} ${message}`);
  process.exitCode = 2;
}

async function run(name: string, email: string): Promise<number> {
  const app = await NestFactory.createApplicationContext(AppModule, {
    logger: new Quiet(),
    abortOnError: false,
  }).catch((error: Error) => console.error(error.message));
  if (!app) return 1;
  const steps: Step[] = [];
  const id = randomUUID();
  const events = app.get(EventRunner).with({ id });
  const failure = await app
    .get(WhatHappened)
    .during(steps, () => events.run('user_joined', name, email), id)
    .then(
      () => undefined,
      (error: Error) => error,
    );
  const open = await whatIsOpen(app, id);
  await app.close();
  for (const { callback, status, error } of steps) console.log(`${callback}: ${status}${error ? `, ${error}` : ''}`);
  for (const { callback } of open) console.log(`${callback}: is tried again by npm start, or by the next sign-up`);
  console.log(failure ? `Not all was done: ${failure.message}` : `Welcome, ${name}`);
  return failure ? 1 : 0;
}

/** This process may be the only one: what was stored is performed by it, unless it has to be tried again. */
async function whatIsOpen(app: INestApplicationContext, id: string): Promise<KeptEvent[]> {
  const deliveries = app.get(EventDeliveries);
  const durable = app.get(EventsInspector).callbacks.filter(({ delivery }) => delivery === 'durable');
  const list = async (state: 'waiting' | 'running') => {
    const lists = durable.map(({ callback }) => deliveries.list({ callback, ids: [id], state }));
    return (await Promise.all(lists)).flatMap(({ found }) => found);
  };
  for (const deadline = Date.now() + PATIENCE_MS; ; await sleep(20)) {
    const waited = await list('waiting');
    const running = await list('running');
    // What waited may be running by now, and what was running may wait to be tried again.
    const waiting = await list('waiting');
    const isOver = [...waited, ...running, ...waiting].every(
      ({ state, attempts }) => state === 'waiting' && attempts > 0,
    );
    if (isOver || Date.now() > deadline) return [...running, ...waiting];
  }
}

async function ask(...questions: string[]): Promise<string[]> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answers: string[] = [];
  // Lines rather than question(): piped input may hold all answers at once.
  const lines = terminal[Symbol.asyncIterator]();
  for (const question of questions) {
    process.stdout.write(question);
    const { value, done } = await lines.next();
    answers.push(done ? '' : value);
  }
  terminal.close();
  return answers;
}
