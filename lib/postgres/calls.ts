import { randomBytes } from 'node:crypto';
import type { EngineHealth } from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import type { Instances } from './instances.js';
import type { Workers } from './workers.js';

const QUERY_TIMEOUT_MS = 5_000;

/** The things that {@link Calls} need. */
export interface CallsOptions {
  readonly connection: Connection;
  readonly channel: string;
  readonly instances: Instances;
  readonly workers: Workers;
  readonly health: EngineHealth;
  /** Is told that an instance has left. */
  readonly onLeft: () => void;
}

/**
 * Says which instance is to look into a queue, by notifications: `?seed queue` calls one of those that work on it, `@id queue`
 * that one, `* queue` all, to suspects, and `!` tells that an instance has left. A queue's name alone, as earlier versions of this package
 * send it, calls all. After the queue may stand the key of which something is next.
 */
export class Calls {
  /** The queues of which another instance was told, since this one last had room for all, that there is more. */
  private readonly calledOn = new Set<string>();
  private hearsItself = false;

  constructor(private readonly options: CallsOptions) {}

  /** Whether notifications arrive. A pooler may swallow them. */
  get isHeard(): boolean {
    return this.hearsItself;
  }

  /** Calls whichever instance has its turn. */
  anyone = (): string => `?${randomBytes(4).toString('hex')}`;

  /** Whom to call when something is stored by a transaction: this instance, if it can take it. */
  onCommit(queue: string): string {
    return this.hearsItself && this.options.workers.hasRoom(queue) ? `@${this.options.instances.id}` : this.anyone();
  }

  /** Takes note of a notification. */
  hear(payload: string): void {
    if (payload === '!') return this.options.onLeft();
    if (payload === `=${this.options.instances.id}`) {
      this.hearsItself = true;
      return;
    }
    const [, kind = '', whom = '', queue, , key] = CALL.exec(payload) ?? [];
    if (queue === undefined) return;
    if (kind === '*') this.options.workers.wakeForSuspects(queue);
    else if (kind === '@' ? whom.startsWith(this.options.instances.id) : kind === '' || this.isTurn(queue, whom)) {
      this.look(queue, key, whom.split('~')[1]);
    } else this.options.workers.note(queue);
  }

  /** Asks for a sign that notifications arrive. */
  async test(): Promise<void> {
    this.hearsItself = false;
    await this.notify(`=${this.options.instances.id}`);
  }

  /** Has this instance look into a queue, or another if it has no room. */
  look(queue: string, key?: string, calledBy = this.options.instances.id): void {
    if (!this.options.workers.has(queue)) void this.notify(`${this.anyone()} ${queue}`);
    else if (this.options.workers.hasRoom(queue)) this.options.workers.wake(queue, key);
    else {
      this.options.workers.note(queue);
      this.callNext(queue, calledBy);
    }
  }

  /** Has all instances look for suspects. */
  lookForSuspects(queue: string): void {
    void this.notify(`* ${queue}`);
  }

  /** Takes note that this instance has claimed as much of a queue as it has room for, or all that there was. */
  claimed(queue: string, isAll: boolean): void {
    if (isAll) this.calledOn.delete(queue);
    else if (!this.calledOn.has(queue)) {
      this.calledOn.add(queue);
      this.callNext(queue, this.options.instances.id);
    }
  }

  private isTurn(queue: string, seed: string): boolean {
    return this.options.instances.first(queue, seed) === this.options.instances.id;
  }

  /** Goes on from instance to instance, back to the one that called first: all have no room then, and know. */
  private callNext(queue: string, calledBy: string): void {
    const next = this.options.instances.after(queue, this.options.instances.id);
    if (next === undefined || next === calledBy) return;
    void this.notify(`@${next}~${calledBy} ${queue}`);
  }

  private async notify(payload: string): Promise<void> {
    await this.options.connection
      .query('select pg_notify($1, $2)', [this.options.channel, payload], QUERY_TIMEOUT_MS)
      // Whoever has the duty finds it soon.
      .catch((error: unknown) => this.options.health.failed(error));
  }
}

const CALL = /^(?:([?@*])(\S*) )?(\S+)( ([^]*))?$/;
