import type { JobJson } from 'bullmq';
import { severalOf } from './amended-scripts.js';
import type { Client } from './connections.js';
import type { Queue } from './queues.js';

/** A job, and the queue that it is to be added to. */
export interface AddedJob {
  readonly queue: Queue;
  readonly job: JobJson;
  readonly id: string;
}

/** Takes down what BullMQ would send to add a job, in place of a connection. */
class Recorder {
  name = '';
  /** Of each job the keys of its script, and the arguments. */
  readonly commands: (readonly unknown[])[] = [];

  runCommand(name: string, args: readonly unknown[]): Promise<undefined> {
    this.name = name;
    this.commands.push(args);
    return Promise.resolve(undefined);
  }
}

/**
 * Adds jobs to several queues by one script, so that nobody sees some of them without the others. All are to be due at the same time.
 *
 * @returns for each, why it was not added, or an empty string
 */
export async function addSeveral(client: Client, jobs: readonly AddedJob[]): Promise<readonly string[]> {
  const recorder = new Recorder();
  await Promise.all(jobs.map(({ queue, job, id }) => queue.addJobToTransaction(recorder as never, job, id)));
  const { name, commands } = recorder;
  const { numberOfKeys } = (client.scriptsSet as Record<string, { numberOfKeys: number }>)[name];
  const keys = commands.flatMap((args) => args.slice(0, numberOfKeys));
  const values = commands.flatMap((args) => args.slice(numberOfKeys));
  const scripts = client as unknown as Record<string, (...args: unknown[]) => Promise<string[]>>;
  return scripts[severalOf(name)](keys.length, ...keys, ...values);
}
