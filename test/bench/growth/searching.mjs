// What it takes to search a store of a million in each of three states, by what an index serves and by what it does not.
import { median } from '../sampler.mjs';
import { rows } from './application.mjs';
import { goal, show } from './measure.mjs';
import { openStore } from './stores.mjs';

const COUNT = rows(1_000_000);
/** Seeds of as many, a millisecond apart. One in a thousand has large arguments. */
const AT = `now() - interval '1 hour' + n * interval '1 millisecond'`;
const SEED = {
  count: COUNT,
  created_on: AT,
  start_after: AT,
  singleton_key: `'k' || n % 10000`,
  data: `jsonb_build_object('event', 'x', 'key', 'k' || n % 10000, 'headers', jsonb_build_object('tenant', 't' || n % 100000),
    'arguments', jsonb_build_array(case when n % 1000 = 0
      then (select string_agg(md5(n::text || i), '') from generate_series(1, 600) as i) else 'ada@example.org' end))`,
};
const ENDED = { started_on: AT, completed_on: AT, retry_count: '0' };
const DEAD = {
  ...ENDED,
  state: `'failed'`,
  deletion_seconds: '0',
  output: `jsonb_build_object('name', 'TypeError', 'message', 'no address for ' || n, 'code', 'E' || n % 10,
    'stack', repeat('at Emails.greet (emails.js:10)', 20))`,
};

const minutesAgo = (minutes) => new Date(Date.now() - minutes * 60_000);

const SEARCHES = () => ({
  'dead, by an error code that none has': { errorCode: 'NONE' },
  'dead, by an error text that none has': { errorText: 'nowhere', order: 'newest' },
  'dead, by a key': { key: 'k5' },
  'dead, by when they died': { endedAfter: minutesAgo(10), endedBefore: minutesAgo(9) },
  'dead, by when they were stored': { storedAfter: minutesAgo(50), storedBefore: minutesAgo(49) },
  'waiting, by a key': { state: 'waiting', key: 'k5' },
  'waiting, by a header': { state: 'waiting', headers: { tenant: 't7' } },
  'waiting, the newest': { state: 'waiting', order: 'newest' },
  'completed, the newest': { state: 'completed', order: 'newest' },
  'completed, by a header': { state: 'completed', headers: { tenant: 't7' } },
  'completed, by when': { state: 'completed', endedAfter: minutesAgo(50), endedBefore: minutesAgo(49) },
});

/** The median over the first pages, in ms of statements, and over how many deliveries each page looked. */
async function pagesOf(app, query, most = 7) {
  const times = [];
  let [scanned, after] = [0, undefined];
  for (let page = 0; page < most; page++) {
    app.statements.length = 0;
    const answer = await app.deliveries.list({ ...query, after });
    times.push(app.statements.reduce((sum, { ms }) => sum + ms, 0));
    scanned = Math.max(scanned, answer.scanned);
    after = answer.after;
    if (after === undefined) break;
  }
  return { ms: median(times), scanned };
}

export async function searching() {
  const store = openStore();
  await store.seed([SEED, { ...SEED, ...DEAD }, { ...SEED, ...ENDED, state: `'completed'` }]);
  const app = await store.start({ work: false });
  for (const [name, query] of Object.entries(SEARCHES())) {
    const { ms, scanned } = await pagesOf(app, query);
    show(`a page of ${name}: looked at`, scanned, '');
    goal(`a page of ${name}, of 1 M each`, ms, 50, 'ms');
  }
  app.statements.length = 0;
  await app.deliveries.counts();
  goal(
    'counts, of 1 M each',
    app.statements.reduce((sum, { ms }) => sum + ms, 0),
    50,
    'ms',
  );
  await app.close();
  await store.drop();
}
