// What durable deliveries cost, against pg-boss used by hand with the same settings. `npm run bench:durable` builds first.
//
// Rounds of all candidates by turns, each in a schema of its own, on the Postgres server that DATABASE_URL names or a
// local one. Exits with 1 when a goal is missed.
import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { Callback, EventRunner, EventsModule } from '../../dist/index.js';
import { postgres } from '../../dist/postgres/index.js';
import { application, decorate, EMAIL, NAME } from './applications.mjs';
import { median, ratio } from './sampler.mjs';

const connectionString = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres';
const ROUNDS = Number(process.argv[2] ?? 5);
const STORED = 300;
const PERFORMED = 2_000;
const CONCURRENCY = 10;

const admin = new pg.Pool({ connectionString, max: 2 });
const drop = (schema) => admin.query(`drop schema if exists ${schema} cascade`);

/** Counts what is performed, and resolves when it was enough. */
function counter() {
  let count = 0;
  let wanted = Infinity;
  let reached = () => {};
  return {
    hit() {
      if (++count >= wanted) reached();
    },
    reach(more) {
      wanted = count + more;
      return new Promise((resolve) => (reached = resolve));
    },
  };
}

async function ours(schema, { work, callbacks = 1 }) {
  await drop(schema);
  const performed = counter();
  const list = Array.from({ length: callbacks }, () => {
    class Answer {
      async answer() {
        performed.hit();
      }
    }
    return Answer;
  });
  list.forEach((type, index) => {
    decorate(type, 'answer', Callback('x', { delivery: 'durable', id: `Answer${index}`, concurrency: CONCURRENCY }));
    Injectable()(type);
  });
  const engine = postgres({ connectionString, schema });
  const app = await application([EventsModule.forRoot({ engine, work })], list);
  const events = app.get(EventRunner);
  return { store: () => events.run('x', NAME, EMAIL), performed, close: () => app.close() };
}

async function byHand(schema, { work, callbacks = 1 }) {
  await drop(schema);
  const boss = new PgBoss({
    connectionString,
    schema,
    useListenNotify: true,
    openTelemetry: { enabled: false },
    schedule: false,
  });
  boss.on('error', console.error);
  await boss.start();
  const queues = Array.from({ length: callbacks }, (_, index) => `queue${index}`);
  for (const queue of queues) await boss.createQueue(queue, { notify: true, heartbeatSeconds: 10, retryLimit: 20 });
  const performed = counter();
  if (work) await work(boss, queues[0], performed);
  return {
    store: async () => {
      for (const queue of queues) await boss.send(queue, { name: NAME, email: EMAIL });
    },
    performed,
    close: () => boss.stop({ graceful: false }),
  };
}

const one = (boss, queue, performed) => {
  const worker = { id: undefined };
  return boss
    .work(queue, { localConcurrency: CONCURRENCY, pollingIntervalSeconds: 0.5 }, async () => {
      performed.hit();
      boss.notifyWorker(worker.id);
    })
    .then((id) => (worker.id = id));
};
const batches = (boss, queue, performed) =>
  boss.work(
    queue,
    { batchSize: CONCURRENCY, perJobResults: true, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 },
    async (jobs) =>
      jobs.map(({ id }) => {
        performed.hit();
        return { id, status: 'completed' };
      }),
  );

const results = {};
const note = (section, name, value) => ((results[section] ??= {})[name] ??= []).push(value);

async function storing(section, clients, callbacks) {
  const candidates = {
    'events.run()': await ours('bench_ours', { work: false, callbacks }),
    'boss.send()': await byHand('bench_hand', { callbacks }),
  };
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { store }] of Object.entries(candidates)) {
      const startedAt = performance.now();
      await Promise.all(
        Array.from({ length: clients }, async () => {
          for (let i = 0; i < STORED / clients; i++) await store();
        }),
      );
      note(section, name, (performance.now() - startedAt) / STORED);
    }
  }
  for (const { close } of Object.values(candidates)) await close();
}

async function working() {
  const section = `performed, ${CONCURRENCY} at a time`;
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, start] of Object.entries({
      'events.run()': (schema) => ours(schema, { work: true }),
      'boss.work(), one by one': (schema) => byHand(schema, { work: one }),
      'boss.work(), in batches': (schema) => byHand(schema, { work: batches }),
    })) {
      const { store, performed, close } = await start('bench_work');
      const all = performed.reach(PERFORMED);
      const startedAt = performance.now();
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          for (let i = 0; i < PERFORMED / 50; i++) await store();
        }),
      );
      await all;
      note(section, name, (performance.now() - startedAt) / PERFORMED);
      await close();
    }
  }
}

await storing('stored one by one', 1, 1);
await storing('stored by 16 at a time', 16, 1);
await storing('three callbacks, one by one', 1, 3);
await working();
for (const [section, candidates] of Object.entries(results)) {
  console.log(section);
  for (const [name, times] of Object.entries(candidates)) {
    const r = ratio(times, candidates['events.run()']);
    console.log(
      `  ${name.padEnd(28)} ${(1_000 / median(times)).toFixed(0).padStart(6)}/s   ${r.ratio.toFixed(2)} x our time`,
    );
  }
}
await drop('bench_ours');
await drop('bench_hand');
await drop('bench_work');
await admin.end();
