import type { InFlight, Pending } from '../async/in-flight.js';
import { commitUnknown } from '../errors/transaction-errors.js';
import type { SafeLogger } from '../reports/safe-logger.js';
import type { Held } from '../transactions/transaction.js';

/** Work that is to be done when a transaction has ended. */
export interface HeldWorkOptions {
  readonly on: 'commit' | 'rollback';
  readonly event: string;
  /** The name of the callback that waits. */
  readonly name: string;
  /** Never rejects. */
  readonly work: () => Promise<unknown>;
  /** Is told why the work was not done, other than by the way in which the transaction ended. */
  readonly tell: (error: unknown) => void;
}

/** Waits for the end of a transaction with some work, and has closing the application wait for it. */
export class HeldWork implements Held, Pending {
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;
  private isOver = false;

  constructor(
    private readonly inFlight: InFlight,
    private readonly logger: SafeLogger,
    private readonly held: HeldWorkOptions,
  ) {
    inFlight.add(this);
  }

  get on(): 'commit' | 'rollback' {
    return this.held.on;
  }

  get waitsFor(): string {
    return `${this.held.name} (after ${this.held.on})`;
  }

  async carryOut(): Promise<void> {
    if (this.isOver) return;
    // First, so that closing goes on to wait for it.
    const working = this.held.work();
    this.leave();
    await working;
  }

  drop(): void {
    const { on, event, name } = this.held;
    if (on === 'commit') this.logger.debug(`"${event}": ${name} was not called: the transaction was rolled back`);
    this.leave();
  }

  doubt(cause: unknown): void {
    this.fail(commitUnknown(this.held.event, this.held.name, cause));
  }

  fail(error: unknown): void {
    if (!this.isOver) this.held.tell(error);
    this.leave();
  }

  private leave(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.inFlight.remove(this);
  }
}
