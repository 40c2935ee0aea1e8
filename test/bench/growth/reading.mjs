// What it takes to look into a store of a million, and to have dead ones tried again.
import { median } from '../sampler.mjs';
import { rows } from './application.mjs';
import { goal, show, timed } from './measure.mjs';
import { BACKING_OFF, COMPLETED, DEAD, DELAYED, openStore } from './stores.mjs';

const LONGEST_MS = 15_000;

/** By name: a million in some mix of states. */
const MIXES = () => ({
  'of 1 M completed and 10 waiting': [{ count: rows(1_000_000), ...COMPLETED }, { count: 10 }],
  'of all states': [
    { count: rows(200_000), ...COMPLETED },
    { count: rows(300_000) },
    { count: rows(200_000), ...DELAYED },
    { count: rows(200_000), ...BACKING_OFF },
    { count: rows(100_000), ...DEAD },
  ],
});

/** The longest of all statements, and all of them together, in ms, while something is done. */
async function statementsOf(app, work) {
  app.statements.length = 0;
  const { value, ms } = await timed(work);
  const times = app.statements.map((statement) => statement.ms);
  return { value, ms, longest: Math.max(0, ...times), all: times.reduce((sum, time) => sum + time, 0) };
}

async function medianOf(app, work) {
  const times = [];
  for (let round = 0; round < 5; round++) times.push((await statementsOf(app, work)).all);
  return median(times);
}

/** Reads all in a state by pages of 1,000. Answers with the milliseconds of each page. */
async function readAll(app, state) {
  const times = [];
  const until = Date.now() + LONGEST_MS;
  for (let after; Date.now() < until;) {
    const { value, all } = await statementsOf(app, () => app.deliveries.list({ state, limit: 1_000, after }));
    times.push(all);
    after = value.after;
    if (after === undefined) return { times, isWhole: true };
  }
  return { times, isWhole: false };
}

async function pages(app, name) {
  for (const state of ['waiting', 'running', 'dead']) {
    goal(
      `a page of 50 ${state}, ${name}`,
      await medianOf(app, () => app.deliveries.list({ state, limit: 50 })),
      50,
      'ms',
    );
  }
  goal(`counts, ${name}`, await medianOf(app, () => app.deliveries.counts()), 50, 'ms');
}

async function whole(app) {
  const { times, isWhole } = await readAll(app, 'waiting');
  const tenth = Math.ceil(times.length / 10);
  show('read by pages of 1,000, each', median(times), 'ms');
  if (!isWhole)
    return goal('all read by pages: read of it within 15 s, in thousands', Infinity, 1, `(${times.length})`);
  return goal(
    'read by pages, last tenth to first',
    median(times.slice(-tenth)) / median(times.slice(0, tenth)),
    2,
    '×',
  );
}

async function retry(app) {
  try {
    const { value, ms, longest } = await statementsOf(app, () => app.deliveries.retry({}));
    show('retry of 100 k dead', ms, `ms, ${value} retried`);
    goal('retry of 100 k dead, its longest statement', longest, 250, 'ms');
  } catch (error) {
    console.log(`  retry of 100 k dead: ${error.message}`);
    goal('retry of 100 k dead, its longest statement', Infinity, 250, 'ms');
  }
}

const CALLBACKS = 100;

/** The same number of deliveries, over many callbacks. */
async function overCallbacks() {
  const store = openStore();
  const name = `'x/Answer' || (n % ${CALLBACKS})`;
  await store.seed(MIXES()['of all states'].map((seed) => ({ ...seed, name })));
  const app = await store.start({ work: false, callbacks: CALLBACKS });
  const { found } = await app.deliveries.list({ callback: 'Answer0', limit: 1_000 });
  const pageOf = (state, limit) => () => app.deliveries.list({ state, limit });
  const reads = {
    'a page of 50 waiting': pageOf('waiting', 50),
    'a page of 1,000 waiting': pageOf('waiting', 1_000),
    'a page of 1,000 dead': pageOf('dead', 1_000),
    counts: () => app.deliveries.counts(),
  };
  for (const [what, work] of Object.entries(reads)) {
    goal(`${what}, of ${CALLBACKS} callbacks`, await medianOf(app, work), 50, 'ms');
  }
  const ids = found.map(({ id }) => id);
  const { longest, all } = await statementsOf(app, () =>
    app.deliveries.list({ callback: 'Answer0', ids, limit: 1_000 }),
  );
  show(`1,000 ids, of ${CALLBACKS} callbacks`, all, 'ms');
  goal(`1,000 ids, of ${CALLBACKS} callbacks, the longest statement`, longest, 50, 'ms');
  await app.close();
  await store.drop();
}

export async function reading() {
  for (const [name, seeds] of Object.entries(MIXES())) {
    const store = openStore();
    await store.seed(seeds);
    const app = await store.start({ work: false });
    await pages(app, name);
    if (name === 'of all states') await whole(app);
    if (name === 'of all states') await retry(app);
    await app.close();
    await store.drop();
  }
  await overCallbacks();
}
