import type { Quarantine } from '../engine/index.js';

/** The things that {@link Suspects} need. */
export interface SuspectsOptions {
  /** Keeps the suspects of all callbacks of this instance apart. */
  readonly quarantine: Quarantine;
  /** Whether one more delivery may be performed now. */
  readonly hasRoom: () => boolean;
  /**
   * Claims a suspect, and begins it, which is written down if it is alone. Calls `onSettled` when it is written down how that
   * has ended. Resolves to whether there was one, and never rejects.
   */
  readonly begin: (isAlone: boolean, onSettled: () => void) => Promise<boolean>;
}

/** Performs the suspects of one callback, each when it is its turn among all callbacks of the instance. */
export class Suspects {
  private isWanted = false;
  private beginning = Promise.resolve();
  private readonly turn = { wake: () => this.takeTurn() };

  constructor(private readonly options: SuspectsOptions) {}

  /** Has it look for one, now or when there is room. */
  look(): void {
    const { quarantine, hasRoom } = this.options;
    this.isWanted = true;
    if (!hasRoom()) return;
    if (!quarantine.tryEnter()) return quarantine.waitFor(this.turn);
    this.isWanted = false;
    const beginning = this.beginNext(quarantine.isForOne);
    this.beginning = this.beginning.then(() => beginning);
  }

  /** Is told that there is room again. */
  onRoom(): void {
    if (this.isWanted) this.look();
  }

  /** Resolves when none is being claimed any more. */
  async stop(): Promise<void> {
    await this.beginning;
  }

  /** Without room, it lets the next have its turn. */
  private takeTurn(): void {
    const { quarantine } = this.options;
    this.look();
    if (this.isWanted) quarantine.passOn();
  }

  private async beginNext(isAlone: boolean): Promise<void> {
    const { quarantine, begin } = this.options;
    const hasBegun = await begin(isAlone, () => {
      quarantine.leave('ended');
      this.look();
    });
    // There may be another.
    if (hasBegun) this.look();
    else quarantine.leave('none');
  }
}
