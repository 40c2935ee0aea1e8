import type { IQueueBackend, MinimalJob, RedisQueueBackend } from 'bullmq';
import { loadPeer } from '../engine/index.js';
import { amendScripts } from './amended-scripts.js';
import type { Connections } from './connections.js';
import type { CompleteOptions } from './options.js';

/** One of BullMQ's queues. Each of its methods runs one script in Redis. */
export type Queue = IQueueBackend & Pick<RedisQueueBackend, 'addJobToTransaction'>;

/** A job, as BullMQ's scripts take it. */
export type ScriptJob = MinimalJob;

/** Passes a job to BullMQ's scripts, which read less of it than their types ask for. */
export const asScriptJob = (job: { readonly id: string; readonly opts: object }): ScriptJob => job as ScriptJob;

/** Whether a script has answered no: somebody else has the job, or it is not where it should be. */
export const isScriptsVerdict = (error: unknown): boolean => {
  const { code } = error as { code?: unknown };
  return typeof code === 'number' && code < 0;
};

/** No job reaches it. The core decides how many attempts there are, not BullMQ. */
const NO_LIMIT = 2 ** 31;

/** Opens queues by their names, on the engine's connection for commands. */
export async function openQueues(
  { commands }: Connections,
  { prefix, leaseMs }: CompleteOptions,
): Promise<(name: string) => Queue> {
  const { RedisQueueBackend, RedisConnection, QueueKeys } = await importBullMQ();
  const connection = new RedisConnection(commands, { shared: true, blocking: false, skipVersionCheck: true });
  const keys = new QueueKeys(prefix);
  const any = new RedisQueueBackend(connection, 'any', keys.getKeys('any'), (type) => keys.toKey('any', type), {
    connection: commands,
    prefix,
    lockDuration: leaseMs,
    // Who looks is one instance, and it knows when.
    stalledInterval: 1,
    maxStalledCount: NO_LIMIT,
  } as never);
  // The connection itself reports its errors. These would only do so again.
  for (const emitter of [connection, any]) emitter.on('error', () => {});
  await connection.client;
  amendScripts(commands);
  return (name) => any.forQueue(name) as IQueueBackend as Queue;
}

/** Reads what a script has answered that hands out a job, as BullMQ does. */
export async function readHandedOut(answer: unknown[] | null): Promise<unknown[]> {
  const { raw2NextJobData } = await importBullMQ();
  return raw2NextJobData(answer ?? []);
}

// A bundler lets a package be absent whose import stands in a try.
const importBullMQ = () =>
  loadPeer(
    'bullmq',
    async () => {
      try {
        return await import('bullmq');
      } catch (error) {
        throw error as Error;
      }
    },
    ['ioredis'],
  );
