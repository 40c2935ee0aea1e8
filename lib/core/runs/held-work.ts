import type { EventsCore } from '../app/shutdown.js';
import type { Pending } from '../async/in-flight.js';
import type { Held } from '../transactions/transaction.js';
import { commitUnknown } from '../errors/transaction-errors.js';

/** What waits for the end of a transaction, and closing the application for it. */
export class HeldWork implements Held, Pending {
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;
  private isOver = false;

  /**
   * @param name of the callback that waits
   * @param work never rejects
   * @param tell is told why the work was not done, other than by the way in which the transaction ended
   */
  constructor(
    private readonly core: EventsCore,
    readonly on: 'commit' | 'rollback',
    private readonly event: string,
    private readonly name: string,
    private readonly work: () => Promise<unknown>,
    private readonly tell: (error: unknown) => void,
  ) {
    core.inFlight.add(this);
  }

  get waitsFor(): string {
    return `${this.name} (after ${this.on})`;
  }

  async perform(): Promise<void> {
    if (this.isOver) return;
    // First, so that closing goes on to wait for it.
    const working = this.work();
    this.leave();
    await working;
  }

  drop(): void {
    if (this.on === 'commit') {
      this.core.failures.logger.debug(`"${this.event}": ${this.name} was not called: the transaction was rolled back`);
    }
    this.leave();
  }

  doubt(cause: unknown): void {
    this.fail(commitUnknown(this.event, this.name, cause));
  }

  fail(error: unknown): void {
    if (!this.isOver) this.tell(error);
    this.leave();
  }

  private leave(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.core.inFlight.remove(this);
  }
}
