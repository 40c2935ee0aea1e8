import type { JobJson } from 'bullmq';
import { ADD_SEVERAL } from './amended-scripts.js';
import type { Client } from './connections.js';
import type { Queue } from './queues.js';

/** A job, and the queue that it is to be added to. */
export interface AddedJob {
  readonly queue: Queue;
  readonly job: JobJson;
  readonly id: string;
}

/** What BullMQ would send to add a job: the name of a script, and its keys and values. */
type Command = readonly [name: string, args: readonly unknown[]];

/** Takes down what BullMQ would send, in place of a connection. */
class Recorder {
  readonly commands: Command[] = [];

  runCommand(...command: Command): Promise<undefined> {
    this.commands.push(command);
    return Promise.resolve(undefined);
  }
}

/**
 * Adds jobs to several queues by one script, so that nobody sees some of them without the others.
 *
 * @returns for each, why it was not added, or an empty string
 */
export async function addSeveral(client: Client, jobs: readonly AddedJob[]): Promise<readonly string[]> {
  const recorder = new Recorder();
  await Promise.all(jobs.map(({ queue, job, id }) => queue.addJobToTransaction(recorder as never, job, id)));
  const scripts = client.scriptsSet as Record<string, { numberOfKeys: number }>;
  const keys: unknown[] = [];
  const values: unknown[] = [];
  for (const [name, args] of recorder.commands) {
    const { numberOfKeys } = scripts[name];
    keys.push(...args.slice(0, numberOfKeys));
    values.push(name, numberOfKeys, args.length - numberOfKeys, ...args.slice(numberOfKeys));
  }
  const commands = client as unknown as Record<string, (...args: unknown[]) => Promise<string[]>>;
  return commands[ADD_SEVERAL](keys.length, ...keys, ...values);
}
