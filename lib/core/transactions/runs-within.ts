import { Ambient } from '../async/ambient.js';
import { AskedPromise } from '../async/asked-promise.js';
import { shared } from '../copies/shared.js';
import { whenSettled } from '../async/promises.js';

/** Hears of a run what nobody else may hear. */
export interface RunEars {
  /** A run has failed, and nobody has asked for its end. */
  tellUnawaited(event: string, error: unknown): void;
  /** A transaction waits long for runs of these events. */
  warnOfWaiting(events: readonly string[], seconds: number): void;
}

const { then } = Promise.prototype;
const ignore = () => {};

/** A run in a transaction, from when it is begun until it has ended. */
interface RunWithin {
  readonly event: string;
  readonly ears: RunEars;
  /** The transaction's. */
  readonly among: RunsWithin;
  /** The run in one of whose callbacks it was begun. */
  caller: RunWithin | undefined;
  /** Whether anybody has asked for its end. */
  isAskedFor: boolean;
  failure?: { readonly error: unknown };
}

const current = shared('run within', () => new Ambient<RunWithin>());
const WARN_AFTER_S = 5;

/**
 * The runs that are begun in one transaction, or savepoint. It waits for them before it ends well. One that fails after the
 * work in the transaction is done was awaited by nobody, and counts as a failure of the work. One that fails before is the
 * work's own affair; if nobody asks for its end, that is told.
 */
export class RunsWithin {
  private readonly pending = new Set<RunWithin>();
  private readonly unheard: RunWithin[] = [];
  private state: 'working' | 'waiting' | 'over' = 'working';
  private late: { readonly error: unknown } | undefined;
  private wake = ignore;

  /** @param around the runs of the transaction that the code around this one works in */
  constructor(private readonly around: RunsWithin | undefined) {}

  /** Whether a run has failed that nobody has asked for. */
  get hasUnheard(): boolean {
    return this.unheard.some(({ isAskedFor }) => !isAskedFor);
  }

  /** Begins a run. A failure counts as handled: who forgets to await it must not lose the process. */
  begin<T>(event: string, ears: RunEars, work: () => Promise<T>): Promise<T> {
    const run: RunWithin = { event, ears, among: this, caller: current.value, isAskedFor: false };
    this.pending.add(run);
    const working = current.run(run, work);
    const promise = new AskedPromise<T>((resolve, reject) => {
      whenSettled(
        working,
        (value) => {
          this.leave(run);
          resolve(value);
        },
        (error) => {
          run.failure = { error };
          this.fail(run, error);
          reject(error);
        },
      );
    });
    promise.onAsked = () => (run.isAskedFor = true);
    void then.call(promise, undefined, ignore);
    return promise;
  }

  /**
   * Waits for the runs that have not ended, and for those that are begun meanwhile.
   *
   * @throws the error of the first that fails meanwhile
   */
  async ended(): Promise<void> {
    this.state = 'waiting';
    if (this.pending.size > 0) await this.wait();
    if (!this.late) return;
    throw this.late.error;
  }

  /** The transaction ends, well or not: tells of what has failed, and nobody has asked for. */
  close(): void {
    this.state = 'over';
    for (const run of this.unheard.splice(0)) tell(run);
  }

  private async wait(): Promise<void> {
    const warning = setTimeout(() => this.warn(), WARN_AFTER_S * 1_000).unref();
    while (this.pending.size > 0) await new Promise<void>((resolve) => (this.wake = resolve));
    clearTimeout(warning);
  }

  private warn(): void {
    const [first] = this.pending;
    first?.ears.warnOfWaiting([...new Set([...this.pending].map(({ event }) => event))], WARN_AFTER_S);
  }

  private fail(run: RunWithin, error: unknown): void {
    const isLate = this.state === 'waiting' && !(run.isAskedFor && this.isAwaitedByCaller(run));
    if (isLate && !this.late) this.late = { error };
    else if (this.state === 'over') tell(run);
    else this.unheard.push(run);
    this.leave(run);
  }

  /** Whether a run that has not ended either is likely to be who has asked for it: what that makes of it counts. */
  private isAwaitedByCaller({ caller }: RunWithin): boolean {
    return caller !== undefined && this.pending.has(caller);
  }

  private leave(run: RunWithin): void {
    // What is begun in its async context later, by a timer say, must not keep a chain of all that were before.
    run.caller = undefined;
    this.pending.delete(run);
    if (this.pending.size === 0) this.wake();
  }

  /**
   * Somebody asks for the end of the transaction of these. If a run in it does so, nobody in it may wait for that run, nor
   * for the runs around it.
   */
  noteAskedForEnd(): void {
    const waiting: RunWithin[] = [];
    for (let run = current.value; run; run = run.caller) {
      if (run.among.isWithin(this)) waiting.push(run);
    }
    for (const run of waiting) run.among.leave(run);
  }

  private isWithin(other: RunsWithin): boolean {
    return this === other || (this.around?.isWithin(other) ?? false);
  }
}

function tell({ event, ears, isAskedFor, failure }: RunWithin): void {
  if (failure && !isAskedFor) ears.tellUnawaited(event, failure.error);
}
