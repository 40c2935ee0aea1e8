import { detached } from '../async/detached.js';

/** When a {@link ClaimLoop} claims, and how. */
export interface ClaimLoopOptions {
  /** Whether one more delivery may be claimed now. */
  readonly hasRoom: () => boolean;
  /** Claims deliveries, as far as there is room, and begins them. Resolves to whether more may be due. */
  readonly claim: () => Promise<boolean>;
  readonly onFailure: (error: unknown) => void;
  /** Is told when something may be due, and there is no room. Whoever makes room later wakes the loop again. */
  readonly onFull?: () => void;
}

/** Claims deliveries for as long as some may be due, and forgets none that became due while it was busy. */
export class ClaimLoop {
  private isNeeded = false;
  private isClaiming = false;
  private isStopped = false;
  private claiming: Promise<void> = Promise.resolve();

  constructor(private readonly options: ClaimLoopOptions) {}

  /** Whether something may be due that it has not looked for yet. */
  get isWanted(): boolean {
    return this.isNeeded;
  }

  get hasStopped(): boolean {
    return this.isStopped;
  }

  /** Has it look now, or as soon as it can: something may be due. */
  wake(): void {
    this.isNeeded = true;
    if (this.isClaiming || this.isStopped) return;
    if (this.options.hasRoom()) this.claiming = detached(() => this.claimAll());
    else this.options.onFull?.();
  }

  /** Has it claim no more. Resolves when nothing is being claimed. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.claiming;
  }

  private async claimAll(): Promise<void> {
    const { hasRoom, claim, onFailure, onFull } = this.options;
    this.isClaiming = true;
    try {
      while (this.isNeeded && !this.isStopped && hasRoom()) {
        this.isNeeded = false;
        if (await claim()) this.isNeeded = true;
      }
    } catch (error) {
      onFailure(error);
    } finally {
      this.isClaiming = false;
      if (this.isNeeded && !hasRoom()) onFull?.();
    }
  }
}
