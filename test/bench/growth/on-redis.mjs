// The same on a Redis server of our own, so that nobody else's commands count.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { redis, rows, start } from './application.mjs';
import { goal, measureIdle, show } from './measure.mjs';

const PORT = 16_000 + (process.pid % 10_000);
const url = `redis://127.0.0.1:${PORT}`;
const options = [
  '--port',
  String(PORT),
  '--save',
  '',
  '--slowlog-log-slower-than',
  '1000',
  '--slowlog-max-len',
  '10000',
];

async function withServer(work) {
  const server = spawn('redis-server', [...options, '--appendonly', 'no', '--dir', '/tmp'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  const client = new Redis(url, { retryStrategy: () => 100, maxRetriesPerRequest: 50 });
  client.on('error', () => {});
  try {
    await client.ping();
    await work(server, client);
  } finally {
    client.disconnect();
    server.kill();
    // The next one takes the same port.
    await ended;
  }
}

const open = (name) => redis({ url, prefix: `{${name}}` });

/** A tenth of what version 0.1.0 took more than nothing, by this script. */
const LIMITS = { server: 0.16, client: 0.3 };

export const idleRedis = () =>
  withServer(async (server) => {
    const alone = await measureIdle(() => [server.pid]);
    const app = await start(open('idle'), { callbacks: 500 });
    const found = await measureIdle(() => [server.pid]);
    for (const side of ['server', 'client']) {
      show(`Redis, idle, the ${side} without us`, alone[side], '% of a core');
      goal(`Redis, idle, 500 callbacks more, the ${side}`, found[side] - alone[side], LIMITS[side], '% of a core');
    }
    await app.close();
  });

/**
 * Watches the event loop: how much processor time this process takes at most from one turn to the next. That is not longer
 * when others have the processor.
 */
function watchLoop() {
  let before = process.cpuUsage();
  let longest = 0;
  const timer = setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    longest = Math.max(longest, user + system);
    before = process.cpuUsage();
  }, 1);
  return () => {
    clearInterval(timer);
    return longest / 1_000;
  };
}

/** How long the server, by any one command, and the event loop are blocked at most, in ms: the least of some tries. */
async function blocked(client, what, work, tries = 3) {
  const found = [];
  for (let index = 0; index < tries; index++) {
    await sleep(200);
    await client.slowlog('RESET');
    const unwatch = watchLoop();
    await work(index);
    await sleep(20);
    const slow = (await client.slowlog('GET', 10_000)).map(([, , microseconds]) => microseconds / 1_000);
    found.push({ server: Math.max(0, ...slow), loop: unwatch() });
  }
  const least = (side) => Math.min(...found.map((tried) => tried[side]));
  goal(`Redis, 1 M: ${what} blocks the server`, least('server'), 50, 'ms');
  goal(`Redis, 1 M: ${what} blocks the event loop`, least('loop'), 50, 'ms');
}

async function storeMany(app, count) {
  const ids = [];
  const run = async () => {
    for (; ids.length < count;) {
      const id = `01900000-0000-7000-8000-${ids.length.toString(16).padStart(12, '0')}`;
      ids.push(id);
      await app.events.with({ id }).run('x', 'Ada', 'ada@example.org');
    }
  };
  await Promise.all(Array.from({ length: 200 }, run));
  return ids;
}

/** Has so many fail for good. */
async function makeDead(count) {
  let failed = 0;
  const perform = async () => {
    failed++;
    throw new Error('seeded');
  };
  const app = await start(open('many'), { perform, retry: { attempts: 1 }, concurrency: 100 });
  await storeMany(app, count);
  for (const until = Date.now() + 60_000; failed < count && Date.now() < until;) await sleep(50);
  await app.close();
}

export const blocking = () =>
  withServer(async (server, client) => {
    await makeDead(rows(50_000));
    const app = await start(open('many'), { callbacks: 10, work: false });
    const ids = await storeMany(app, rows(100_000));
    const { deliveries } = app;
    await blocked(client, 'a page of 50', () => deliveries.list({ state: 'waiting', limit: 50 }));
    await blocked(client, 'counts', () => deliveries.counts());
    await blocked(client, 'a discard of one', (index) =>
      deliveries.discard({ callback: 'Answer0', ids: [ids[index]] }),
    );
    const searches = {
      'a search of what waits by a header': { state: 'waiting', headers: { tenant: 'none' } },
      'a search of what waits by a key': { state: 'waiting', key: 'none', order: 'newest' },
      'a search of the dead by a text': { errorText: 'nowhere' },
    };
    for (const [what, query] of Object.entries(searches)) await blocked(client, what, () => deliveries.list(query));
    const some = (index) => ids.slice(ids.length / 2 + index * 1_000).slice(0, 1_000);
    await blocked(client, 'a discard of 10 k', (index) =>
      deliveries.discard({ callback: 'Answer0', ids: some(index) }),
    );
    await blocked(client, 'a page beside them', () => deliveries.list({ state: 'waiting', limit: 50 }));
    await blocked(client, 'a retry of 50 k', () => deliveries.retry({}), 1);
    await app.close();
  });
