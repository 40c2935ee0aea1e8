// One instance of an application that stores and performs deliveries until it is killed. What happens is appended, line by
// line and at once, to the file that LOG names: it outlives a kill.
import './skewed-clock.mjs';
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { openEngine } from './engines.mjs';
import { now } from './now.mjs';
import { importEntry } from './package.mjs';
import { randomOf } from './random.mjs';

const { Callback, currentEvent, EventDeliveries, EventRunner, EventsModule } = await importEntry('');
const { LOG, NAME, SEED, PRODUCERS = '4', PAUSE_MS = '15' } = process.env;
const random = randomOf(Number(SEED));
const log = openSync(LOG, 'a');
const note = (what, facts) => writeSync(log, `${JSON.stringify({ at: now(), what, instance: NAME, ...facts })}\n`);

const { engine, effects, events: produced, limits } = await openEngine();

/** What a callback notes: when it begins, and that it is done. */
async function performing(callback, work) {
  const { arguments: args, delivery, signal, headers } = currentEvent();
  const facts = { callback, id: delivery.id, key: delivery.key, number: args[0], attempt: delivery.attempt };
  if (headers?.tenant) facts.tenant = headers.tenant;
  // A former build shows none.
  if (headers) facts.header = headers.number ?? 'none';
  note('begin', facts);
  await work(args[0], delivery, signal);
  note('done', facts);
}

const answer = (name, event, options, method) => {
  const type = { [name]: class {} }[name];
  Object.defineProperty(type.prototype, 'go', { value: method, writable: true, configurable: true });
  Callback(event, options)(type.prototype, 'go', Object.getOwnPropertyDescriptor(type.prototype, 'go'));
  Injectable()(type);
  return type;
};
const durable = { delivery: 'durable', timeoutMs: 500, retry: { attempts: 100, delayMs: 50, backoff: 'fixed' } };
const chance = (share) => random() < share;

const providers = [
  answer('Veto', 'mixed', {}, (number) => {
    if (number % 17 === 0) throw new Error('veto');
  }),
  answer('Quick', 'mixed', durable, () => performing('Quick.go', async () => {})),
  answer('Flaky', 'mixed', durable, () =>
    performing('Flaky.go', async () => {
      await sleep(random() * 10);
      if (chance(0.3)) throw new Error('flaky');
    }),
  ),
  answer('Hanging', 'mixed', durable, () =>
    performing('Hanging.go', async (_, __, signal) => {
      if (chance(0.05)) await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      await sleep(random() * 200);
    }),
  ),
  answer('Doomed', 'mixed', { ...durable, retry: { attempts: 3, delayMs: 20, backoff: 'fixed' } }, () =>
    performing('Doomed.go', async (number) => {
      if (number % 50 === 0) throw new Error('doomed');
    }),
  ),
  ...(produced.includes('ordered') ? [orderedCallback()] : []),
  ...(produced.includes('exact') ? [exactCallback()] : []),
  ...(limits ? [limitedCallback()] : []),
  // Only this build has it.
  ...(produced.includes('newer')
    ? [answer('Newer', 'newer', durable, () => performing('Newer.go', async () => {}))]
    : []),
];

function limitedCallback() {
  return answer('Limited', 'limited', { ...durable, timeoutMs: 15_000, limits }, () =>
    performing('Limited.go', () => sleep(random() * 40)),
  );
}

function orderedCallback() {
  return answer('Ordered', 'ordered', { ...durable, ordered: true }, () =>
    performing('Ordered.go', async () => {
      await sleep(random() * 5);
      if (chance(0.2)) throw new Error('flaky');
    }),
  );
}

function exactCallback() {
  return answer('Exact', 'exact', { ...durable, timeoutMs: 15_000, concurrency: 4 }, () =>
    performing('Exact.go', (_, delivery) =>
      effects(async (transaction) => {
        await transaction.query('insert into effects values ($1)', [delivery.id]);
        if (chance(0.1)) throw new Error('flaky');
        await delivery.completeIn(transaction);
        if (chance(0.1)) throw new Error('flaky');
      }),
    ),
  );
}

class AppModule {}
Module({ imports: [EventsModule.forRoot({ engine })], providers })(AppModule);
const app = await NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
await app.init();
const events = app.get(EventRunner);
process.send('ready');

/** The headers of a run, if this build has any. */
const headersOf = ({ header, tenant }) => header && { headers: { number: header, ...(tenant && { tenant }) } };
const hasHeaders = (() => {
  try {
    return Boolean(events.with({ headers: {} }));
  } catch {
    return false;
  }
})();

let isProducing = true;
process.on('message', async (message) => {
  if (message === 'stop producing') isProducing = false;
  if (message.ask) await answerTo(message);
  if (message === 'close') {
    await app.close();
    process.exit(0);
  }
});

/** Pauses or resumes a callback. */
async function answerTo({ ask, of }) {
  const isDone = await app
    .get(EventDeliveries)
    [ask]({ callback: of })
    .then(
      () => true,
      () => false,
    );
  process.send({ answer: ask, isDone });
}

let number = 0;
async function produce(key) {
  while (isProducing) {
    const event = limits && chance(0.1) ? 'limited' : produced[Math.floor(random() * produced.length)];
    const run = { id: randomUUID(), event, number: ++number, ...(event === 'ordered' && { key }) };
    if (event === 'limited') run.tenant = `tenant ${Math.floor(random() * 3)}`;
    if (hasHeaders) run.header = `${run.number}`;
    note('run', run);
    // What may be stored, and what surely is not, is run again with its id until it is.
    for (let isOpen = true; isOpen;) {
      note('try', run);
      try {
        // What is newer waits, so that some of it is there whenever its build goes.
        await events
          .with({ id: run.id, key: run.key, ...headersOf(run), ...(event === 'newer' && { delayMs: 3_000 }) })
          .run(event, run.number);
        note('stored', run);
        isOpen = false;
      } catch (error) {
        isOpen = error.code === 'EVENTS_STORE_UNKNOWN' || error.code === 'EVENTS_STORE_FAILED';
        note(error.code ?? 'refused', run);
        if (isOpen) await sleep(100);
      }
      if (!isProducing) break;
    }
    await sleep(random() * 2 * Number(PAUSE_MS));
  }
}
await Promise.all(Array.from({ length: Number(PRODUCERS) }, (_, index) => produce(`${NAME} ${index}`)));
note('stopped', {});
process.send('stopped');
