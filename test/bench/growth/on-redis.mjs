// The same on a Redis server of our own, so that nobody else's commands count.
import { spawn } from 'node:child_process';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { redis, rows, start } from './application.mjs';
import { goal, measureIdle } from './measure.mjs';

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
  const client = new Redis(url, { retryStrategy: () => 100, maxRetriesPerRequest: 50 });
  client.on('error', () => {});
  try {
    await client.ping();
    await work(server, client);
  } finally {
    client.disconnect();
    server.kill();
  }
}

const open = (name) => redis({ url, prefix: `{${name}}` });

export const idleRedis = () =>
  withServer(async (server) => {
    const app = await start(open('idle'), { callbacks: 500 });
    const found = await measureIdle(() => [server.pid]);
    goal('Redis, idle, 500 callbacks, the server', found.server, 1.7, '% of a core');
    goal('Redis, idle, 500 callbacks, the client', found.client, 2.2, '% of a core');
    await app.close();
  });

/** How long the server, by any one command, and the event loop are blocked at most, in ms. */
async function blocked(client, what, work) {
  await sleep(100);
  globalThis.gc?.();
  await client.slowlog('RESET');
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  await work();
  await sleep(50);
  loop.disable();
  const slow = (await client.slowlog('GET', 10_000)).map(([, , microseconds]) => microseconds / 1_000);
  goal(`Redis, 1 M: ${what} blocks the server`, Math.max(0, ...slow), 50, 'ms');
  goal(`Redis, 1 M: ${what} blocks the event loop`, loop.max / 1e6, 50, 'ms');
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
    await blocked(client, 'a discard of one', () => deliveries.discard({ ids: [ids.at(-1)] }));
    await blocked(client, 'a retry of 50 k', () => deliveries.retry());
    await app.close();
  });
