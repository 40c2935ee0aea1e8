// What durable deliveries cost, against pg-boss and BullMQ used by hand with the same settings, and how soon they begin.
// `npm run bench:durable` builds first. It uses the servers that DATABASE_URL and REDIS_URL name, or local ones, and PGlite.
//
//   Postgres, PGlite, Redis   only that one
//
//   --rounds=5   how often each candidate has its turn
//
// Exits with 1 when a goal is missed.
import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import pg from 'pg';
import { fromPglite, PgBoss } from 'pg-boss';
import { Callback, EventRunner, EventsModule } from '../../dist/index.js';
import { postgres } from '../../dist/postgres/index.js';
import { redis } from '../../dist/redis/index.js';
import { application, decorate, EMAIL, NAME } from './applications.mjs';
import { median, ratio } from './sampler.mjs';

const connectionString = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres';
const redisUrl = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const only = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const rounds = Number(process.argv.find((arg) => arg.startsWith('--rounds='))?.split('=')[1] ?? 5);

const CONCURRENCY = 10;
const ARRIVALS = 60;
const OURS = 'events.run()';

const admin = new pg.Pool({ connectionString, max: 2 });
let schemas = 0;

/** Each place where deliveries are kept: `open` makes one for one candidate, and what one would use there by hand. */
const withBoss = {
  stored: 320,
  performed: 2_000,
  byHand: bossByHand,
  sends: 'boss.send()',
  workers: { 'boss.work(), one by one': oneByOne, 'boss.work(), in batches': inBatches },
};
const PLACES = {
  Postgres: {
    ...withBoss,
    open: async () => {
      const schema = `bench_${process.pid}_${++schemas}`;
      const close = () => admin.query(`drop schema if exists ${schema} cascade`);
      return { engine: postgres({ connectionString, schema }), hand: { connectionString, schema }, close };
    },
  },
  PGlite: {
    ...withBoss,
    open: async () => {
      const pglite = await PGlite.create();
      const hand = { db: fromPglite(pglite), backend: 'pglite' };
      return { engine: postgres({ pglite }), hand, close: () => pglite.close() };
    },
  },
  Redis: {
    // Many more, as it is so much faster: a few hundred would measure how the code is compiled.
    stored: 6_400,
    performed: 20_000,
    byHand: bullByHand,
    sends: 'queue.add()',
    workers: { 'new Worker()': (options, queue, perform) => new Worker(queue, perform, options) },
    open: async () => {
      const prefix = `{bench-${process.pid}-${++schemas}}`;
      const close = async () => {
        const client = new Redis(redisUrl);
        const keys = await client.keys(`${prefix}:*`);
        for (let at = 0; at < keys.length; at += 1_000) await client.del(keys.slice(at, at + 1_000));
        client.disconnect();
      };
      return { engine: redis({ url: redisUrl, prefix }), hand: { connection: { url: redisUrl }, prefix }, close };
    },
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
  const app = await application([EventsModule.forRoot({ engine: database.engine, ...options })], list);
  const events = app.get(EventRunner);
  return { store: () => events.run('x', NAME, EMAIL), close: () => app.close() };
}

/** The same with pg-boss alone: notified, with heartbeats, and workers as `work` makes them. */
async function bossByHand(database, perform, { callbacks = 1, work } = {}) {
  const boss = new PgBoss({
    ...database.hand,
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

/** The same with BullMQ alone: deliveries are kept as long, and claims last as long. */
async function bullByHand({ hand }, perform, { callbacks = 1, work } = {}) {
  const options = { attempts: 20, backoff: { type: 'exponential', delay: 300 }, removeOnComplete: { age: 86_400 } };
  const queues = Array.from({ length: callbacks }, (_, index) => new Queue(`queue${index}`, hand));
  await Promise.all(queues.map((queue) => queue.waitUntilReady()));
  const working = {
    ...hand,
    concurrency: CONCURRENCY,
    lockDuration: 10_000,
    stalledInterval: 1_000,
    maxStalledCount: 20,
  };
  const worker = work?.(working, 'queue0', perform);
  return {
    store: async () => {
      for (const queue of queues) await queue.add('x', { name: NAME, email: EMAIL }, options);
    },
    close: async () => {
      await worker?.close();
      await Promise.all(queues.map((queue) => queue.close()));
    },
  };
}

async function oneByOne(boss, queue, perform) {
  const options = { localConcurrency: CONCURRENCY, pollingIntervalSeconds: 0.5 };
  const worker = await boss.work(queue, options, async () => {
    await perform();
    boss.notifyWorker(worker);
  });
}

function inBatches(boss, queue, perform) {
  const options = {
    batchSize: CONCURRENCY,
    perJobResults: true,
    burstWhenBatchFull: true,
    pollingIntervalSeconds: 0.5,
  };
  return boss.work(queue, options, (jobs) =>
    Promise.all(jobs.map(({ id }) => perform().then(() => ({ id, status: 'completed' })))),
  );
}

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
async function storing({ open, byHand, sends, stored }, clients, callbacks) {
  const idle = async () => {};
  const databases = [await open(), await open()];
  const candidates = {
    [OURS]: await ours(databases[0], idle, { work: false, callbacks }),
    [sends]: await byHand(databases[1], idle, { callbacks }),
  };
  const results = {};
  for (let round = -1; round < rounds; round++) {
    for (const [name, { store }] of Object.entries(candidates)) {
      const startedAt = performance.now();
      await times(clients, async () => {
        for (let i = 0; i < stored / clients; i++) await store();
      });
      if (round >= 0) (results[name] ??= []).push((performance.now() - startedAt) / stored);
    }
  }
  for (const { close } of [...Object.values(candidates), ...databases]) await close();
  return results;
}

/** The same for performing what is stored beforehand. */
async function working({ open, byHand, workers, performed }) {
  const results = {};
  const candidates = {
    [OURS]: (database, perform) => ours(database, perform),
  };
  for (const [name, work] of Object.entries(workers)) {
    candidates[name] = (database, perform) => byHand(database, perform, { work });
  }
  for (let round = 0; round < rounds; round++) {
    for (const [name, start] of Object.entries(candidates)) {
      const database = await open();
      const storingOnly =
        name === OURS ? await ours(database, async () => {}, { work: false }) : await byHand(database);
      await times(40, async () => {
        for (let i = 0; i < performed / 40; i++) await storingOnly.store();
      });
      await storingOnly.close();
      const { all, hit } = counter(performed);
      const startedAt = performance.now();
      const { close } = await start(database, hit);
      await all;
      (results[name] ??= []).push((performance.now() - startedAt) / performed);
      await close();
      await database.close();
    }
  }
  return results;
}

/** Milliseconds from the call of a run until its callback begins, in another instance, on an idle system. */
async function arriving({ open, byHand, sends, workers }) {
  const results = { [OURS]: [], [sends]: [] };
  const [work] = Object.values(workers);
  for (const name of Object.keys(results)) {
    const database = await open();
    let begun;
    const perform = async () => begun();
    const [storer, worker] =
      name === OURS
        ? [await ours(database, async () => {}, { work: false }), await ours(database, perform)]
        : [await byHand(database), await byHand(database, perform, { work })];
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
async function retrying({ open }) {
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

const wanted = Object.entries(PLACES).filter(([name]) => only.length === 0 || only.includes(name));
for (const [name, place] of wanted) {
  print(`${name}, stored one by one`, await storing(place, 1, 1), true);
  print(`${name}, stored by 16 at a time`, await storing(place, 16, 1), true);
  print(`${name}, stored for three callbacks, one by one`, await storing(place, 1, 3), true);
  print(`${name}, performed, ${CONCURRENCY} at a time`, await working(place), true);
}

for (const [name, place] of wanted) {
  // One process alone has it.
  if (name === 'PGlite') continue;
  const arrivals = await arriving(place);
  console.log(`\n${name}, from the call of a run until its callback begins, in another instance`);
  for (const [candidate, values] of Object.entries(arrivals)) console.log(`  ${candidate.padEnd(26)} ${p50(values)}`);
  goal(`${name}, a delivery begins`, p50(arrivals[OURS]), 'within 20 ms', median(arrivals[OURS]) < 20);

  const late = await retrying(place);
  console.log(`\n${name}, from when a retry is due until it begins`);
  console.log(`  where it failed            ${p50(late.here)}`);
  console.log(
    `  elsewhere                  ${p50(late.elsewhere)}, at most ${Math.max(...late.elsewhere).toFixed(0)} ms`,
  );
  goal(`${name}, a retry begins where it failed`, p50(late.here), 'within 20 ms', median(late.here) < 20);
  goal(`${name}, a retry begins elsewhere`, p50(late.elsewhere), 'within 1.5 s', median(late.elsewhere) < 1_500);
}

console.log('\nGoals');
for (const { what, found, wanted, isMet } of goals)
  console.log(`  ${isMet ? 'met   ' : 'MISSED'} ${what}: ${found} (${wanted})`);
if (goals.some(({ isMet }) => !isMet)) process.exitCode = 1;
await admin.end();
