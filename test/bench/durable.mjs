// What durable deliveries cost, against pg-boss used by hand with the same settings, and how soon they begin.
// `npm run bench:durable` builds first. It uses the Postgres server that DATABASE_URL names, or a local one, and PGlite.
//
//   --rounds=5   how often each candidate has its turn
//
// Exits with 1 when a goal is missed.
import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { fromPglite, PgBoss } from 'pg-boss';
import { Callback, EventRunner, EventsModule } from '../../dist/index.js';
import { postgres } from '../../dist/postgres/index.js';
import { application, decorate, EMAIL, NAME } from './applications.mjs';
import { median, ratio } from './sampler.mjs';

const connectionString = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres';
const rounds = Number(process.argv.find((arg) => arg.startsWith('--rounds='))?.split('=')[1] ?? 5);

const STORED = 320;
const PERFORMED = 2_000;
const CONCURRENCY = 10;
const ARRIVALS = 60;
const OURS = 'events.run()';

const admin = new pg.Pool({ connectionString, max: 2 });
let schemas = 0;

/** Both kinds of database, each candidate with one of its own. */
const DATABASES = {
  Postgres: async () => {
    const schema = `bench_${process.pid}_${++schemas}`;
    const close = () => admin.query(`drop schema if exists ${schema} cascade`);
    return { engine: { connectionString, schema }, boss: { connectionString, schema }, close };
  },
  PGlite: async () => {
    const pglite = await PGlite.create();
    return { engine: { pglite }, boss: { db: fromPglite(pglite), backend: 'pglite' }, close: () => pglite.close() };
  },
};

/** An application with so many durable callbacks of the event `x`. */
async function ours(database, perform, { callbacks = 1, ...options } = {}) {
  const list = Array.from({ length: callbacks }, (_, index) => {
    class Answer {}
    Object.defineProperty(Answer.prototype, 'answer', { value: perform, writable: true, configurable: true });
    const durable = { delivery: 'durable', id: `Answer${index}`, concurrency: CONCURRENCY, retry: { delayMs: 300 } };
    decorate(Answer, 'answer', Callback('x', durable));
    return Answer;
  });
  const app = await application([EventsModule.forRoot({ engine: postgres(database.engine), ...options })], list);
  const events = app.get(EventRunner);
  return { store: () => events.run('x', NAME, EMAIL), close: () => app.close() };
}

/** The same with pg-boss alone: notified, with heartbeats, and workers as `work` makes them. */
async function byHand(database, perform, { callbacks = 1, work } = {}) {
  const boss = new PgBoss({
    ...database.boss,
    useListenNotify: true,
    openTelemetry: { enabled: false },
    schedule: false,
  });
  boss.on('error', console.error);
  await boss.start();
  const queues = Array.from({ length: callbacks }, (_, index) => `queue${index}`);
  for (const queue of queues) await boss.createQueue(queue, { notify: true, heartbeatSeconds: 10, retryLimit: 20 });
  if (work) await work(boss, queues[0], perform);
  return {
    store: async () => {
      for (const queue of queues) await boss.send(queue, { name: NAME, email: EMAIL });
    },
    close: () => boss.stop({ graceful: false }),
  };
}

async function oneByOne(boss, queue, perform) {
  const options = { localConcurrency: CONCURRENCY, pollingIntervalSeconds: 0.5 };
  const worker = await boss.work(queue, options, async () => {
    await perform();
    boss.notifyWorker(worker);
  });
}

const inBatches = (boss, queue, perform) =>
  boss.work(
    queue,
    { batchSize: CONCURRENCY, perJobResults: true, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 },
    (jobs) => Promise.all(jobs.map(({ id }) => perform().then(() => ({ id, status: 'completed' })))),
  );

/** Resolves when something was done so often. */
function counter(wanted) {
  let count = 0;
  let reached;
  const all = new Promise((resolve) => (reached = resolve));
  const hit = async () => {
    if (++count === wanted) reached();
  };
  return { all, hit };
}

const times = (count, work) => Promise.all(Array.from({ length: count }, work));

/** Milliseconds a run, of each candidate in each round. */
async function storing(open, clients, callbacks) {
  const idle = async () => {};
  const databases = [await open(), await open()];
  const candidates = {
    [OURS]: await ours(databases[0], idle, { work: false, callbacks }),
    'boss.send()': await byHand(databases[1], idle, { callbacks }),
  };
  const results = {};
  for (let round = -1; round < rounds; round++) {
    for (const [name, { store }] of Object.entries(candidates)) {
      const startedAt = performance.now();
      await times(clients, async () => {
        for (let i = 0; i < STORED / clients; i++) await store();
      });
      if (round >= 0) (results[name] ??= []).push((performance.now() - startedAt) / STORED);
    }
  }
  for (const { close } of [...Object.values(candidates), ...databases]) await close();
  return results;
}

/** The same for performing what is stored beforehand. */
async function working(open) {
  const results = {};
  const candidates = {
    [OURS]: (database, perform) => ours(database, perform),
    'boss.work(), one by one': (database, perform) => byHand(database, perform, { work: oneByOne }),
    'boss.work(), in batches': (database, perform) => byHand(database, perform, { work: inBatches }),
  };
  for (let round = 0; round < rounds; round++) {
    for (const [name, start] of Object.entries(candidates)) {
      const database = await open();
      const storingOnly =
        name === OURS ? await ours(database, async () => {}, { work: false }) : await byHand(database);
      await times(40, async () => {
        for (let i = 0; i < PERFORMED / 40; i++) await storingOnly.store();
      });
      await storingOnly.close();
      const { all, hit } = counter(PERFORMED);
      const startedAt = performance.now();
      const { close } = await start(database, hit);
      await all;
      (results[name] ??= []).push((performance.now() - startedAt) / PERFORMED);
      await close();
      await database.close();
    }
  }
  return results;
}

/** Milliseconds from the call of a run until its callback begins, in another instance, on an idle system. */
async function arriving(open) {
  const results = { [OURS]: [], 'boss.send()': [] };
  for (const name of Object.keys(results)) {
    const database = await open();
    let begun;
    const perform = async () => begun();
    const [storer, worker] =
      name === OURS
        ? [await ours(database, async () => {}, { work: false }), await ours(database, perform)]
        : [await byHand(database), await byHand(database, perform, { work: oneByOne })];
    for (let i = 0; i < ARRIVALS; i++) {
      const arrived = new Promise((resolve) => (begun = resolve));
      const startedAt = performance.now();
      await storer.store();
      await arrived;
      results[name].push(performance.now() - startedAt);
      await sleep(20);
    }
    for (const { close } of [storer, worker, database]) await close();
  }
  return results;
}

/** Milliseconds from when a retry is due until it begins, where it failed, and where its instance has closed. */
async function retrying(open) {
  const here = [];
  const elsewhere = [];
  for (let i = 0; i < 20; i++) {
    for (const [late, closes] of [
      [here, false],
      [elsewhere, true],
    ]) {
      const database = await open();
      let dueAt;
      let failed;
      let begun;
      const hasFailed = new Promise((resolve) => (failed = resolve));
      const hasBegun = new Promise((resolve) => (begun = resolve));
      const perform = async () => {
        if (dueAt !== undefined) return begun(performance.now() - dueAt);
        throw new Error('once');
      };
      const onError = ({ attempt }) => {
        dueAt = performance.now() + attempt.retryInMs;
        failed();
      };
      const first = await ours(database, perform, { onError });
      await first.store();
      await hasFailed;
      if (closes) {
        await first.close();
        const other = await ours(database, perform);
        late.push(await hasBegun);
        await other.close();
      } else {
        late.push(await hasBegun);
        await first.close();
      }
      await database.close();
    }
  }
  return { here, elsewhere };
}

const goals = [];
const goal = (what, found, wanted, isMet) => goals.push({ what, found, wanted, isMet });

function print(title, results, isGoal) {
  console.log(`\n${title}`);
  const base = results[OURS];
  for (const [name, values] of Object.entries(results)) {
    const perSecond = (1_000 / median(values)).toFixed(0);
    console.log(`  ${name.padEnd(26)} ${perSecond.padStart(6)}/s   ${ratio(values, base).ratio.toFixed(2)} × our time`);
  }
  if (!isGoal) return;
  const best = Math.min(
    ...Object.entries(results).flatMap(([name, values]) => (name === OURS ? [] : [ratio(values, base).ratio])),
  );
  goal(`${title}: throughput against the best by hand`, `${best.toFixed(2)} ×`, '0.8 ×', best >= 0.8);
}

const p50 = (values) => `${median(values).toFixed(1)} ms`;

for (const [name, open] of Object.entries(DATABASES)) {
  print(`${name}, stored one by one`, await storing(open, 1, 1), true);
  print(`${name}, stored by 16 at a time`, await storing(open, 16, 1), true);
  print(`${name}, stored for three callbacks, one by one`, await storing(open, 1, 3), true);
  print(`${name}, performed, ${CONCURRENCY} at a time`, await working(open), true);
}

const arrivals = await arriving(DATABASES.Postgres);
console.log('\nPostgres, from the call of a run until its callback begins, in another instance');
for (const [name, values] of Object.entries(arrivals)) console.log(`  ${name.padEnd(26)} ${p50(values)}`);
goal('A delivery begins', p50(arrivals[OURS]), 'within 20 ms', median(arrivals[OURS]) < 20);

const late = await retrying(DATABASES.Postgres);
console.log('\nPostgres, from when a retry is due until it begins');
console.log(`  where it failed            ${p50(late.here)}`);
console.log(
  `  elsewhere                  ${p50(late.elsewhere)}, at most ${Math.max(...late.elsewhere).toFixed(0)} ms`,
);
goal('A retry begins where it failed', p50(late.here), 'within 20 ms', median(late.here) < 20);
goal('A retry begins elsewhere', p50(late.elsewhere), 'within 1.5 s', median(late.elsewhere) < 1_500);

console.log('\nGoals');
for (const { what, found, wanted, isMet } of goals)
  console.log(`  ${isMet ? 'met   ' : 'MISSED'} ${what}: ${found} (${wanted})`);
if (goals.some(({ isMet }) => !isMet)) process.exitCode = 1;
await admin.end();
