import { type Connection, KeyHeldError } from './connection/connection.js';
import { MissingQueueError } from './missing-queue.js';
import { jsonOfAll, type Runs, runsTo, type Stored, type StoredRun } from './stored-run.js';
import { Turns } from './turns.js';

/** The things that an {@link OrderedWriter} needs. */
export interface OrderedWriterOptions {
  readonly connection: Connection;
  /** `StoreStatements.storeInOrder` */
  readonly statement: string;
  readonly channel: string;
  readonly timeoutMs: number;
  /** How many sessions may wait for keys at once. */
  readonly waiting: number;
}

/** The server gives up a little before we do: it knows why. */
const OF_THE_TIME = 0.9;
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Stores runs, outside of transactions, whose deliveries keep the order of keys. A transaction that has stored for a key locks
 * it until it ends. So the runs of one key wait in one line, a statement that finds a key locked comes back, and only some wait
 * for that at a time. Those of other keys go on.
 */
export class OrderedWriter {
  private readonly lines = new Map<string, Runs>();
  private readonly turns: Turns;

  constructor(private readonly options: OrderedWriterOptions) {
    this.turns = new Turns(options.waiting);
  }

  add(run: StoredRun): Promise<Stored> {
    return this.lineOf(run.lane).add(run);
  }

  private lineOf(lane: string): Runs {
    let line = this.lines.get(lane);
    if (!line) {
      const onIdle = () => this.lines.delete(lane);
      this.lines.set(lane, (line = runsTo((runs) => this.store(runs), undefined, onIdle)));
    }
    return line;
  }

  private async store(runs: readonly StoredRun[]): Promise<void> {
    const { timeoutMs } = this.options;
    const sentAt = performance.now();
    const leftMs = (ofMs: number) => Math.max(1, Math.ceil(sentAt + ofMs - performance.now()));
    const lockMs = () => leftMs(timeoutMs * OF_THE_TIME);
    if (await this.send(runs, 'try', lockMs(), timeoutMs)) return;
    const turn = await this.turns.take(lockMs());
    if (!turn) throw this.held('and as many runs wait for other keys as may');
    try {
      await this.send(runs, 'wait', lockMs(), leftMs(timeoutMs));
    } catch (error) {
      if ((error as { code?: unknown } | null)?.code !== LOCK_NOT_AVAILABLE) throw error;
      throw this.held('and has not ended', error);
    } finally {
      turn.leave();
    }
  }

  /**
   * @param lockMs how long it may wait for a lock
   * @returns whether they are stored: if not, a key is locked
   */
  private async send(
    runs: readonly StoredRun[],
    how: 'try' | 'wait',
    lockMs: number,
    timeoutMs: number,
  ): Promise<boolean> {
    const { connection, statement, channel } = this.options;
    const { rows } = await connection.query(statement, [jsonOfAll(runs), channel, how, `${lockMs}`], timeoutMs);
    const { missing, isBusy } = rows[0] as { missing: string | null; isBusy: boolean };
    if (missing !== null) throw new MissingQueueError(missing);
    return !isBusy;
  }

  private held(why: string, cause?: unknown): KeyHeldError {
    const { timeoutMs } = this.options;
    return new KeyHeldError(`another transaction has stored for its key, ${why}, within ${timeoutMs} ms`, { cause });
  }
}
