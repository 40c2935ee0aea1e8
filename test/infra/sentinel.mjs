// A Redis master, a replica, and three Sentinels that agree on who is the master.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findRedisProgram, freePort, PrivateRedis } from '../support/private-redis.mjs';

/** What the Sentinels call the master. */
const NAME = 'deliveries';
const SENTINELS = 3;
const QUORUM = 2;

/** A program that watches. It writes what it learns into its file. */
class Sentinel {
  static async over(master) {
    const sentinel = new Sentinel(await freePort());
    const lines = [
      `port ${sentinel.port}`,
      'bind 127.0.0.1',
      `dir ${sentinel.#folder}`,
      `sentinel monitor ${NAME} 127.0.0.1 ${master.port} ${QUORUM}`,
      `sentinel down-after-milliseconds ${NAME} 500`,
      `sentinel failover-timeout ${NAME} 2000`,
    ];
    const file = join(sentinel.#folder, 'sentinel.conf');
    writeFileSync(file, [...lines, ''].join('\n'));
    sentinel.#child = spawn(findRedisProgram(), [file, '--sentinel'], { stdio: 'ignore' });
    return sentinel;
  }

  #folder = mkdtempSync(join(tmpdir(), 'sentinel-'));
  #child;

  constructor(port) {
    this.port = port;
  }

  async remove() {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Whether it knows the replica and the other Sentinels, and holds none of them for dead. */
  async knowsAll() {
    const client = new Redis(this.port, '127.0.0.1', { retryStrategy: () => 20, maxRetriesPerRequest: null });
    client.on('error', () => {});
    try {
      const seen = (kind) => client.call('SENTINEL', kind, NAME).then((all) => all.map(pairsOf));
      const [replicas, others] = [await seen('REPLICAS'), await seen('SENTINELS')];
      const areUp = [...replicas, ...others].every(({ flags }) => !/down|disconnected/.test(flags));
      const isFollowed = replicas.some((replica) => replica['master-link-status'] === 'ok');
      return areUp && isFollowed && others.length === SENTINELS - 1;
    } finally {
      client.disconnect();
    }
  }
}

export class SentinelServers {
  static async start() {
    // A replica that comes is served at once.
    const start = () => PrivateRedis.start({ 'repl-diskless-sync-delay': 0 });
    const servers = new SentinelServers(await start(), await start());
    await servers.replica.follow(servers.master);
    for (let times = 0; times < SENTINELS; times++) servers.#sentinels.push(await Sentinel.over(servers.master));
    for (const sentinel of servers.#sentinels) while (!(await sentinel.knowsAll())) await sleep(20);
    return servers;
  }

  #sentinels = [];

  constructor(master, replica) {
    this.master = master;
    this.replica = replica;
  }

  /** For ioredis. */
  get options() {
    return { name: NAME, sentinels: this.#sentinels.map(({ port }) => ({ host: '127.0.0.1', port })) };
  }

  async remove() {
    await Promise.all([...this.#sentinels, this.master, this.replica].map((one) => one.remove()));
  }
}

/** Of `['name', 'value', …]`. */
function pairsOf(list) {
  return Object.fromEntries(list.flatMap((name, index) => (index % 2 === 0 ? [[name, list[index + 1]]] : [])));
}
