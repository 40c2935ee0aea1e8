// What instances cost that have nothing to do, how many of them look for one delivery, and runs of one transaction.
import { setTimeout as sleep } from 'node:timers/promises';
import { PgBoss } from 'pg-boss';
import { inTransaction, rows } from './application.mjs';
import { goal, measureIdle, show, timed } from './measure.mjs';
import { openStore, watchedPool } from './stores.mjs';

const isClaim = ({ text }) => /set\s+state = 'active'|\.events_claim_/i.test(text);

async function startMany(store, count, options) {
  const apps = [];
  for (let index = 0; index < count; index++) apps.push(await store.start({ connections: 3, ...options }));
  return { apps, close: () => Promise.all(apps.map((app) => app.close())) };
}

/** Stores one delivery at a time, by one instance after another, and counts the claims. */
export async function claims() {
  const store = openStore();
  const { apps, close } = await startMany(store, 16);
  await sleep(2_000);
  for (const { statements } of apps) statements.length = 0;
  for (const { events } of apps) {
    await events.run('x', 'Ada', 'ada@example.org');
    await sleep(300);
  }
  const made = apps.flatMap(({ statements }) => statements).filter(isClaim).length;
  goal('16 instances: claims for one delivery', made / apps.length, 2, 'statements');
  await close();
  await store.drop();
}

/** What pg-boss costs by hand, with its own settings. */
async function measureByHand() {
  const { schema, drop } = openStore();
  const { pool, pids } = watchedPool(3);
  const boss = new PgBoss({ db: { executeSql: (sql, params) => pool.query(sql, params) }, schema });
  await boss.start();
  for (let index = 0; index < 10; index++) {
    await boss.createQueue(`answer${index}`);
    await boss.work(`answer${index}`, async () => {});
  }
  const found = await measureIdle(pids);
  await boss.stop();
  await pool.end();
  await drop();
  return found;
}

/** A third of what version 0.1.0 took, by this script, and a tenth more, by which two runs differ: 0.70 and 0.33, by 16 instances 11 and 2.4. */
const LIMITS = { 1: { server: 0.26, client: 0.12 }, 16: { server: 4, client: 0.9 } };

export async function idle() {
  const byHand = await measureByHand();
  for (const side of ['server', 'client']) show(`pg-boss by hand, 10 queues, the ${side}`, byHand[side], '% of a core');
  for (const count of [1, 16]) {
    const store = openStore();
    const { apps, close } = await startMany(store, count, { callbacks: 10 });
    const found = await measureIdle(() => apps.flatMap(({ pids }) => pids()));
    for (const side of ['server', 'client']) {
      const what = `10 callbacks, instances: ${count}, the ${side}`;
      show(what, found[side], '% of a core');
      goal(`${what}, against pg-boss`, found[side] / byHand[side], LIMITS[count][side], '×');
    }
    await close();
    await store.drop();
  }
}

const RUNS = rows(10_000);

async function inOne(app, work) {
  const client = await app.pool.connect();
  const open = async (run) => {
    await client.query('begin');
    try {
      const value = await run(client);
      await client.query('commit');
      return value;
    } catch (error) {
      await client.query('rollback');
      throw error;
    }
  };
  try {
    return await timed(() => inTransaction(open, work));
  } finally {
    client.release();
  }
}

export async function transactions() {
  const store = openStore();
  const app = await store.start({ work: false });
  const run = () => app.events.run('x', 'Ada', 'ada@example.org');
  const oneByOne = async () => {
    for (let index = 0; index < RUNS; index++) await run();
  };
  const outside = await timed(oneByOne);
  const inside = await inOne(app, oneByOne);
  show(`${RUNS} runs, one by one`, outside.ms, 'ms');
  show(`${RUNS} runs of one transaction, one by one`, inside.ms, 'ms');
  goal('runs of one transaction, one by one, against outside', inside.ms / outside.ms, 2, '×');
  const atOnce = await inOne(app, () => Promise.all(Array.from({ length: RUNS }, run))).catch((error) => {
    console.log(`  ${RUNS} by Promise.all: ${error.message}`);
    return { ms: Infinity };
  });
  goal('runs of one transaction, by Promise.all, against outside', atOnce.ms / outside.ms, 2, '×');
  await app.close();
  await store.drop();
}
