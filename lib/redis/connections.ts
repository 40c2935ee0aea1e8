import type { Cluster, ClusterOptions, Redis, RedisOptions as ClientOptions } from 'ioredis';
import { type EngineHealth, loadPeer, messageOf, within } from '../engine/index.js';
import type { CompleteOptions } from './options.js';
import { tellable } from './tellable.js';
import { watch } from './watchdog.js';

export type Client = Redis | Cluster;

const CONNECT_TIMEOUT_MS = 5_000;
const LONGEST_PAUSE_MS = 500;

/** Opens the two connections of an instance, however many callbacks it has: one for commands, and one to wait on. */
export class Connections {
  private watching: readonly (() => void)[] = [];

  private constructor(
    readonly commands: Client,
    /** Takes the commands that block. */
    readonly waiting: Client,
  ) {}

  /** Makes them, so that they may be closed, whatever they wait for. They are to be connected then. */
  static async make(options: CompleteOptions): Promise<Connections> {
    const make = await maker(options);
    return new Connections(make('nestjs-callbacks'), make('nestjs-callbacks:waiting'));
  }

  /** @param leaseMs how long an answer may take, or five seconds: it may be a job, and meanwhile nobody else performs that */
  async connect(leaseMs: number, health: EngineHealth): Promise<void> {
    const clients = [this.commands, this.waiting];
    try {
      await Promise.all(clients.map((client) => connect(client, health)));
    } catch (error) {
      this.close();
      throw error;
    }
    for (const client of clients) {
      client.on('ready', () => clients.every(({ status }) => status === 'ready') && health.works());
    }
    this.watching = clients.map((client) => watch(client, Math.max(leaseMs, CONNECT_TIMEOUT_MS)));
  }

  get isCluster(): boolean {
    return this.commands.isCluster;
  }

  get isReady(): boolean {
    return this.commands.status === 'ready';
  }

  /** The server, or the masters of a cluster. */
  get servers(): readonly Redis[] {
    const { commands } = this;
    return isCluster(commands) ? commands.nodes('master') : [commands];
  }

  close(): void {
    for (const end of this.watching) end();
    this.commands.disconnect();
    this.waiting.disconnect();
  }
}

/** Resolves to what makes connections like the one that the options name. */
async function maker({ url, connection }: CompleteOptions): Promise<(name: string) => Client> {
  const { Redis } = await importRedis();
  return (connectionName) => {
    const own: ClientOptions = {
      lazyConnect: true,
      connectionName,
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: undefined,
      commandTimeout: undefined,
      blockingTimeout: undefined,
      // Answers are read as they are, keys are written as they are, and each command is sent when it is given.
      stringNumbers: false,
      keyPrefix: '',
      enableAutoPipelining: false,
      monitor: false,
      readOnly: false,
      // A command that cannot be sent now fails now. A command that was sent is never sent again behind our back.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: pauseBefore,
      // The server was a master, and is none any more. Redis 6 says so of a script in the middle of what it says.
      reconnectOnError: ({ message }) => /\bREADONLY\b/.test(message),
    };
    if (url !== undefined) return new Redis(url, own);
    const given = connection as Client | ClientOptions;
    if (!('duplicate' in given)) return new Redis({ ...given, ...own });
    return isCluster(given) ? duplicateCluster(given, own) : given.duplicate(own);
  };
}

// A bundler lets a package be absent whose import stands in a try.
const importRedis = () =>
  loadPeer(
    'ioredis',
    async () => {
      try {
        return await import('ioredis');
      } catch (error) {
        throw error as Error;
      }
    },
    ['bullmq'],
  );

const pauseBefore = (attempt: number) => Math.min(attempt * 50, LONGEST_PAUSE_MS);

const isCluster = (client: Client): client is Cluster => client.isCluster === true;

function duplicateCluster(cluster: Cluster, own: ClientOptions): Cluster {
  const options: ClusterOptions = {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: pauseBefore,
    // A replica does not know yet what was written.
    scaleReads: 'master',
    enableAutoPipelining: false,
    // Otherwise it would send again what was cut off.
    retryDelayOnFailover: 0,
    redisOptions: { ...cluster.options.redisOptions, ...own, lazyConnect: false },
  };
  return cluster.duplicate([], options);
}

/**
 * Connects a client. From then on, the client connects again by itself whenever the connection breaks. Somebody always listens to its
 * errors: ioredis writes to the console what nobody hears.
 */
async function connect(client: Client, health: EngineHealth): Promise<void> {
  let isOpen = false;
  let reason: unknown;
  client.on('error', (error) => {
    if (isOpen) health.failed(error);
    else reason = error;
  });
  try {
    // A cluster that has to try again never settles the promise of connect().
    const ready = new Promise<void>((resolve) => client.once('ready', resolve));
    await within(CONNECT_TIMEOUT_MS, Promise.race([client.connect(), ready]));
    // Otherwise ioredis goes on in database 0.
    if (!isCluster(client) && client.options.db) await within(CONNECT_TIMEOUT_MS, client.select(client.options.db));
    isOpen = true;
  } catch (error) {
    const cause = tellable(reason ?? error);
    throw new Error(`no connection to ${placeOf(client)}: ${messageOf(cause)}`, { cause });
  }
}

function placeOf(client: Client): string {
  if (isCluster(client)) return 'the cluster';
  const { path, host, port, sentinels, name } = client.options;
  if (sentinels?.length) return `"${name}" by the sentinels ${sentinels.map(addressOf).join(', ')}`;
  return path ?? addressOf({ host, port });
}

const addressOf = ({ host, port }: { host?: string; port?: number }) => `${host}:${port}`;
