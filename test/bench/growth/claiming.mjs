// Server time for each delivery that is performed, by what else lies in the store.
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../sampler.mjs';
import { rows } from './application.mjs';
import { goal, show } from './measure.mjs';
import { BACKING_OFF, DEAD, DELAYED, ofKey, openStore, overKeys } from './stores.mjs';

const ROUNDS = 3;
const WARM_UP = 200;
const LONGEST_MS = 10_000;

/** Performs what is there, and answers with milliseconds of server time per delivery; Infinity, if none was performed. */
async function perform(store, options, wanted) {
  let count = 0;
  const app = await store.start({ ...options, perform: async () => void count++ });
  const fromStart = app.measureCpu();
  const until = Date.now() + LONGEST_MS;
  const reach = async (number) => {
    while (count < number && Date.now() < until) await sleep(2);
  };
  await reach(Math.min(WARM_UP, wanted));
  const cpu = app.measureCpu();
  const before = count;
  await reach(before + wanted);
  // Where it is so slow that all time went into warming up, that is what there is to measure.
  const result = count > before ? cpu() / (count - before) : fromStart() / count;
  await app.close();
  return result;
}

const due = (count) => [{ count }];
const keyed = (count, keys) => [{ count, ...overKeys(keys) }];

/** By name: what is seeded, whether order is kept, and whether it is used up and seeded in each round. */
const CASES = () => ({
  empty: { seeds: due(2_500), isUsedUp: true },
  waiting: { seeds: due(rows(1_000_000)) },
  delayed: {
    seeds: [{ count: rows(500_000), ...DELAYED }, { count: rows(500_000), ...BACKING_OFF }, ...due(10_000)],
  },
  '100 k keys': { seeds: keyed(rows(100_000), rows(100_000)), ordered: true },
  '1 k keys': { seeds: keyed(rows(100_000), 1_000), ordered: true },
  '300 k keys': { seeds: keyed(rows(300_000), rows(300_000)), ordered: true },
  'one key, 1 k': { seeds: keyed(1_000, 1), ordered: true, isUsedUp: true, wanted: 300 },
  'one key, 100 k': { seeds: keyed(rows(100_000), 1), ordered: true, wanted: 300 },
  'one key, 300 k': { seeds: keyed(rows(300_000), 1), ordered: true, wanted: 300 },
  'no dead head': { seeds: keyed(10_000, 1_000), ordered: true },
  'dead head': {
    seeds: [
      { count: 1, ...DEAD, ...ofKey(`'held'::text`) },
      { count: rows(100_000), ...ofKey(`'held'::text`) },
      ...keyed(10_000, 1_000),
    ],
    ordered: true,
  },
});

async function measureAll(cases) {
  const stores = {};
  const times = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { seeds, ordered, isUsedUp, wanted = 1_500 }] of Object.entries(cases)) {
      if (isUsedUp) await stores[name]?.drop();
      if (isUsedUp || !stores[name]) {
        stores[name] = openStore();
        await stores[name].seed(seeds, { ordered });
      }
      (times[name] ??= []).push(await perform(stores[name], { ordered }, wanted));
    }
  }
  for (const store of Object.values(stores)) await store.drop();
  return Object.fromEntries(Object.entries(times).map(([name, list]) => [name, median(list)]));
}

export async function claiming() {
  const ms = await measureAll(CASES());
  for (const [name, value] of Object.entries(ms)) show(`performed, ${name}`, value, 'ms per delivery');
  const against = (name, base, most) => goal(`${name}, against ${base}`, ms[name] / ms[base], most, '×');
  against('waiting', 'empty', 1.5);
  against('delayed', 'empty', 1.5);
  against('100 k keys', 'empty', 3);
  against('1 k keys', 'empty', 3);
  against('300 k keys', '100 k keys', 1.3);
  against('one key, 100 k', 'empty', 12);
  against('one key, 300 k', 'one key, 1 k', 1.5);
  against('dead head', 'no dead head', 1.5);
}
