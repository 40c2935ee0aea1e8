// Redis servers of a test's own, which it may restart, kill and freeze. They take the program that is installed.
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

/** The path of `redis-server`, or `undefined`. */
export function findRedisProgram() {
  const paths = (process.env.PATH ?? '').split(':').map((folder) => join(folder, 'redis-server'));
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** How much higher the port of a cluster's bus is. */
const BUS = 10_000;

const isFree = (port) =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/** Below the ports that systems give to outgoing connections, which come and go: so is that of the bus. */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 12_000);
    if ((await isFree(port)) && (await isFree(port + BUS))) return port;
  }
}

export class PrivateRedis {
  /** @param settings as in `{ 'maxmemory-policy': 'allkeys-lru' }` */
  static async start(settings = {}) {
    // What a killed process has written stays, so nothing need wait for the disk.
    const server = new PrivateRedis(await freePort(), { appendonly: 'yes', appendfsync: 'no', ...settings });
    await server.start();
    return server;
  }

  #folder = mkdtempSync(join(tmpdir(), 'redis-'));
  #settings;
  #child;

  constructor(port, settings) {
    this.port = port;
    this.#settings = settings;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start() {
    const settings = { ...this.#settings, port: this.port, bind: '127.0.0.1', dir: this.#folder, save: '' };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const child = spawn(findRedisProgram(), args, { stdio: 'ignore' });
    this.#child = child;
    await this.ask(async (client) => {
      while ((await client.ping().catch(() => 'no')) !== 'PONG') {
        if (child.exitCode !== null)
          throw new Error(`redis-server on port ${this.port} has ended by ${child.exitCode}`);
        await sleep(10);
      }
    });
  }

  /** `SIGKILL` ends it as a crash does, `SIGTERM` in good order. */
  async stop(signal = 'SIGKILL') {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGCONT');
    child.kill(signal);
    await ended;
  }

  async restart(signal) {
    await this.stop(signal);
    await this.start();
  }

  /** Becomes a replica, or the replica of another. Resolves when it has all that the master has. */
  async follow(master) {
    await this.ask(async (client) => {
      await client.replicaof('127.0.0.1', master.port);
      while (!(await this.replication()).includes('master_link_status:up')) await sleep(20);
    });
  }

  /** What it says of its master or its replicas. */
  replication() {
    return this.ask((client) => client.info('replication'));
  }

  /** Resolves when a replica has all that this one has now. */
  async replicatedTo(replica) {
    const offset = async (server, name) => Number((await server.replication()).split(`${name}:`)[1].split('\r')[0]);
    const now = await offset(this, 'master_repl_offset');
    while ((await offset(replica, 'slave_repl_offset')) < now) await sleep(10);
  }

  /** Nothing answers any more, while all connections stay. */
  freeze() {
    this.#child.kill('SIGSTOP');
  }

  thaw() {
    this.#child.kill('SIGCONT');
  }

  /** On a connection of its own. */
  async ask(work) {
    const client = new Redis(this.port, '127.0.0.1', { retryStrategy: () => 20, maxRetriesPerRequest: null });
    client.on('error', () => {});
    try {
      return await work(client);
    } finally {
      client.disconnect();
    }
  }

  async remove() {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Three masters, each with a third of the slots. */
export class PrivateRedisCluster {
  /** @param nodeTimeoutMs after which a node counts as dead that does not answer the others */
  static async start(nodeTimeoutMs = 10_000) {
    const settings = {
      'cluster-enabled': 'yes',
      'cluster-node-timeout': nodeTimeoutMs,
      // A replica that comes is served at once, and takes over however old its data are.
      'repl-diskless-sync-delay': 0,
      'cluster-replica-validity-factor': 0,
    };
    const servers = await Promise.all([0, 1, 2].map(() => PrivateRedis.start(settings)));
    const slots = ['0', '5461', '10923', '16384'];
    for (const [index, server] of servers.entries()) {
      await server.ask(async (client) => {
        await client.call('CLUSTER', 'ADDSLOTSRANGE', slots[index], String(slots[index + 1] - 1));
        if (index > 0) await client.call('CLUSTER', 'MEET', '127.0.0.1', String(servers[0].port));
      });
    }
    for (const server of servers) {
      await server.ask(async (client) => {
        const isJoined = async () => {
          const info = String(await client.call('CLUSTER', 'INFO'));
          return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3');
        };
        // A node that was too slow to answer is forgotten.
        for (let looks = 1; !(await isJoined()); looks++) {
          await sleep(50);
          if (looks % 40 > 0) continue;
          for (const { port } of servers) await client.call('CLUSTER', 'MEET', '127.0.0.1', String(port));
        }
      });
    }
    return new PrivateRedisCluster(servers, settings);
  }

  #settings;

  constructor(servers, settings) {
    this.servers = servers;
    this.#settings = settings;
  }

  /** The master that has the slot of a key, and that slot. */
  async ownerOf(key) {
    const [any] = this.servers;
    const slot = await any.ask((client) => client.cluster('KEYSLOT', key));
    const slots = await any.ask((client) => client.cluster('SLOTS'));
    const [, , [, port]] = slots.find(([from, to]) => from <= slot && slot <= to);
    return { slot, owner: this.servers.find((server) => server.port === port) };
  }

  /** Adds a replica of a master. Resolves when it has all that the master has, and all know it. */
  async addReplica(master) {
    const replica = await PrivateRedis.start(this.#settings);
    const id = await idOf(master);
    await replica.ask(async (client) => {
      await client.cluster('MEET', '127.0.0.1', master.port);
      while (!(await client.cluster('NODES')).includes(id)) await sleep(20);
      await client.cluster('REPLICATE', id);
      while (!(await replica.replication()).includes('master_link_status:up')) await sleep(20);
    });
    const isKnown = new RegExp(`^${await idOf(replica)} .* slave ${id} `, 'm');
    for (const server of this.servers)
      await server.ask(async (client) => {
        while (!isKnown.test(await client.cluster('NODES'))) await sleep(20);
      });
    this.servers.push(replica);
    return replica;
  }

  /** Moves a slot from one master to another, as a rebalancing does. */
  async moveSlot(slot, from, to) {
    await to.ask(async (client) => client.cluster('SETSLOT', slot, 'IMPORTING', await idOf(from)));
    await from.ask(async (client) => {
      await client.cluster('SETSLOT', slot, 'MIGRATING', await idOf(to));
      for (;;) {
        const keys = await client.cluster('GETKEYSINSLOT', slot, 10);
        if (keys.length === 0) break;
        await client.migrate('127.0.0.1', to.port, '', 0, 5_000, 'REPLACE', 'KEYS', ...keys);
      }
    });
    for (const server of [to, from, ...this.servers])
      await server.ask(async (client) => client.cluster('SETSLOT', slot, 'NODE', await idOf(to)));
  }

  get nodes() {
    return this.servers.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  async remove() {
    await Promise.all(this.servers.map((server) => server.remove()));
  }
}

const idOf = (node) => node.ask((client) => client.cluster('MYID'));
