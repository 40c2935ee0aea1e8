import type { IQueueBackend } from 'bullmq';
import { loadPeer } from '../engine/index.js';
import type { Connections } from './connections.js';
import type { CompleteOptions } from './options.js';

/** One of BullMQ's queues: all that it can do with its jobs, each step one script in Redis. */
export type Queue = IQueueBackend;

/** What BullMQ writes into its scripts' answers: another has the job, or it is not where it should be. */
export const isScriptsVerdict = (error: unknown): boolean => {
  const { code } = error as { code?: unknown };
  return typeof code === 'number' && code < 0;
};

/** More often than an attempt can begin again: how many there are is for the core to say. */
const NO_LIMIT = 2 ** 31;

/** Queues by name, on the engine's connection for commands. */
export async function openQueues(
  { commands }: Connections,
  { prefix, leaseMs }: CompleteOptions,
): Promise<(name: string) => Queue> {
  const { RedisQueueBackend, RedisConnection, QueueKeys } = await loadPeer('bullmq', () => import('bullmq'));
  const connection = new RedisConnection(commands, { shared: true, blocking: false, skipVersionCheck: true });
  const keys = new QueueKeys(prefix);
  const any = new RedisQueueBackend(connection, 'any', keys.getKeys('any'), (type) => keys.toKey('any', type), {
    connection: commands,
    prefix,
    lockDuration: leaseMs,
    stalledInterval: stalledIntervalOf(leaseMs),
    maxStalledCount: NO_LIMIT,
  } as never);
  // Whoever has the connection hears of it.
  for (const emitter of [connection, any]) emitter.on('error', () => {});
  await connection.client;
  return (name) => any.forQueue(name);
}

/** How often BullMQ looks for claims that have run out, of which it takes note the time before. */
export const stalledIntervalOf = (leaseMs: number) => Math.ceil(leaseMs / 10);
