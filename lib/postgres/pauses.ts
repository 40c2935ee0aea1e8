import {
  addressName,
  type DeliveryAddress,
  type DurableCallback,
  fits,
  type FoundDeliveries,
} from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import { addressOf } from './queue-name.js';
import { movesTo, type NamedQueue, queueOf } from './queues.js';
import type { PauseStatements } from './statements/pauses.js';
import type { Statements } from './statements/statements.js';

const QUERY_TIMEOUT_MS = 5_000;
const BOOT_TIMEOUT_MS = 30_000;

/** The things that {@link Pauses} need. */
export interface PausesOptions {
  readonly connection: Connection;
  readonly statements: Pick<Statements, 'queues'>;
  /** Absent where the schema is an older version's, or this role may not see it. */
  readonly pauses: PauseStatements | undefined;
  /** Whether this role may write there, too. */
  readonly mayPause: boolean;
  readonly channel: string;
}

/** Pauses callbacks, and has instances go on with them. Claims look by themselves whether their queue is paused. */
export class Pauses {
  /** Which callbacks have now what lies in queues that they have left: under a former id, or ordered otherwise. */
  private readonly owners = new Map<string, DeliveryAddress>();

  constructor(private readonly options: PausesOptions) {}

  /** Takes note of callbacks, before their deliveries are moved. */
  declare(callbacks: readonly DurableCallback[]): void {
    for (const callback of callbacks) {
      const { event, callback: id } = callback;
      for (const { from } of movesTo(callback)) this.owners.set(from, { event, callback: id });
    }
  }

  /** Pauses the queue of a callback, which is about to be made, if one is from which deliveries move there. */
  inherit = async (callback: DurableCallback): Promise<void> => {
    const from = movesTo(callback).map((move) => move.from);
    if (from.length > 0 && this.options.mayPause)
      await this.query('inherit', [queueOf(callback), from], BOOT_TIMEOUT_MS);
  };

  /** Resolves to how many callbacks this has paused. */
  async pause(filter: Partial<DeliveryAddress>): Promise<number> {
    const { connection, statements } = this.options;
    const { rows } = await connection.query(statements.queues, [], QUERY_TIMEOUT_MS);
    const queues = (rows as NamedQueue[]).map(({ name }) => name);
    return this.countOf(await this.query('pause', [this.meant(queues, filter)]));
  }

  /** Resolves to how many callbacks this has resumed. */
  async resume(filter: Partial<DeliveryAddress>): Promise<number> {
    const marked = (await this.query('paused', [])).map(({ queue }) => queue);
    return this.countOf(await this.query('resume', [this.meant(marked, filter), this.options.channel]));
  }

  /** Which callbacks are paused. */
  async paused(): Promise<FoundDeliveries[]> {
    const marked = await this.query('paused', []);
    return marked.flatMap(({ queue, since }) => {
      const address = this.ownerOf(queue);
      return address ? [{ ...address, pausedSince: new Date(since) }] : [];
    });
  }

  private meant(queues: readonly string[], filter: Partial<DeliveryAddress>): string[] {
    return queues.filter((queue) => {
      const address = this.ownerOf(queue);
      return address && fits(address, filter);
    });
  }

  private ownerOf(queue: string): DeliveryAddress | undefined {
    const { event, callback } = this.owners.get(queue) ?? addressOf(queue) ?? {};
    return event === undefined || callback === undefined ? undefined : { event, callback };
  }

  private countOf(changed: readonly Marked[]): number {
    return new Set(changed.map(({ queue }) => addressName(this.ownerOf(queue)!))).size;
  }

  private async query(
    statement: keyof PauseStatements,
    params: unknown[],
    timeoutMs = QUERY_TIMEOUT_MS,
  ): Promise<Marked[]> {
    const { connection, pauses } = this.options;
    if (!pauses) return [];
    const { rows } = await connection.query(pauses[statement], params, timeoutMs);
    return rows as Marked[];
  }
}

/** A queue that is paused, and since when, in milliseconds since 1970. */
interface Marked {
  readonly queue: string;
  readonly since: number;
}
