import type { PgBoss } from 'pg-boss';
import type { DurableCallback } from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import type { Move } from './instances.js';
import { isOrderedQueue, queueName } from './queue-name.js';
import type { RemoteStatements } from './statements/remote.js';
import type { Statements } from './statements/statements.js';

const BOOT_TIMEOUT_MS = 30_000;

/** A queue of pg-boss. */
export interface NamedQueue {
  readonly name: string;
  /** Its own application has not been here yet: one that has its callback as `remote` has made it. */
  readonly isRemote: boolean;
}

interface QueuesOptions {
  readonly connection: Connection;
  readonly boss: PgBoss;
  readonly statements: Pick<Statements, 'queues'>;
  /** Without them, as the schema is an older version's, no queue is known to be remote. */
  readonly marks: RemoteStatements | undefined;
  /** Pauses the queue of a callback that is new, if it was paused where its deliveries come from. */
  readonly inherit: (callback: DurableCallback) => Promise<void>;
}

/** Makes the queues of callbacks. */
export class Queues {
  private readonly remote = new Set<string>();

  constructor(private readonly options: QueuesOptions) {}

  /** Makes those that are not there, and has the store know which applications have been here themselves. */
  async make(callbacks: readonly DurableCallback[]): Promise<void> {
    const { connection, statements, marks, inherit } = this.options;
    const remote = callbacks.filter(({ isRemote }) => isRemote).map(queueOf);
    for (const queue of remote) this.remote.add(queue);
    await this.mark(remote);
    const { rows } = await connection.query(statements.queues, [], BOOT_TIMEOUT_MS);
    const existing = new Map((rows as NamedQueue[]).map(({ name, isRemote }) => [name, isRemote]));
    for (const callback of callbacks) {
      const queue = queueOf(callback);
      // Nothing may be claimed of it in between.
      if (existing.get(queue) !== false) await inherit(callback);
      if (!existing.has(queue)) await this.create(queue);
    }
    const own = callbacks.filter(({ isRemote }) => !isRemote).map(queueOf);
    if (own.length > 0 && marks) await connection.query(marks.unmark, [own], BOOT_TIMEOUT_MS);
  }

  /** Makes one again that somebody has removed. */
  async remake(queue: string): Promise<void> {
    if (this.remote.has(queue)) await this.mark([queue]);
    await this.create(queue);
  }

  private async mark(queues: readonly string[]): Promise<void> {
    const { connection, marks } = this.options;
    if (queues.length > 0 && marks) await connection.query(marks.mark, [queues], BOOT_TIMEOUT_MS);
  }

  private async create(queue: string): Promise<void> {
    await this.options.boss.createQueue(queue, { policy: isOrderedQueue(queue) ? 'key_strict_fifo' : 'standard' });
  }
}

/** The queue of a callback. */
export const queueOf = (callback: DurableCallback) => queueName(callback, callback.isOrdered);

/** From where what is stored for a callback is moved to its queue: where it lay by a former id, or ordered otherwise. */
export function movesTo(callback: DurableCallback): Move[] {
  const { event, isOrdered, formerly, isRemote } = callback;
  // Where another application has it, it is that one that knows.
  if (isRemote) return [];
  const former = formerly.flatMap((id) => [true, false].map((was) => queueName({ event, callback: id }, was)));
  return [queueName(callback, !isOrdered), ...former].map((from) => ({ from, to: queueOf(callback) }));
}
