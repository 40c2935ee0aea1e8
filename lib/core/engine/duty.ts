import type { EngineHealth } from './engine-health.js';
import { detached } from '../async/detached.js';
import { clearTimeout, setTimeout } from '../async/timers.js';

/** What an instance learns of the duty when it asks. */
export interface Term {
  /** Whether this instance has it now. */
  readonly isHeld: boolean;
  /**
   * After how many milliseconds to ask again: early enough to keep it, or late enough for who has it to have renewed it.
   * @default {@link DutyOptions.everyMs}
   */
  readonly askInMs?: number;
}

/** What there is to do for an application by one instance at a time, and how an instance gets to do it. */
export interface DutyOptions {
  /**
   * Takes the duty, if nobody has it or who had it has not renewed it in time; renews it, if this instance has it. It should last
   * somewhat longer than it is until this instance asks again.
   */
  readonly take: () => Promise<Term>;
  /** Does what there is to do. It is called again and again while this instance has the duty. */
  readonly work: () => Promise<void>;
  /** Gives it up, so that another instance may take it at once. Not needed where it is free when the instance leaves. */
  readonly leave?: () => Promise<void>;
  readonly health: EngineHealth;
  /**
   * How long it is from one call of `take` to the next, in milliseconds, if that does not say.
   * @default 1_000
   */
  readonly everyMs?: number;
}

/**
 * Has one instance of an application do what one is enough for: look for what nobody was told of, and the like. Each instance
 * has one of these. They agree by the store that they share, and another goes on when the one that had the duty dies.
 *
 * Two may have it for a moment, where one was held up. So what there is to do must bear to be done twice.
 */
export class Duty {
  private hasIt = false;
  private hasStopped = false;
  private timer: NodeJS.Timeout | undefined;
  private turn: Promise<void> | undefined;

  constructor(private readonly options: DutyOptions) {}

  /** Whether this instance had the duty when it last asked, and takes part still. */
  get isHeld(): boolean {
    return this.hasIt && !this.hasStopped;
  }

  /** Takes part from now on. Calling it again changes nothing. */
  start(): void {
    if (!this.turn && !this.hasStopped) this.go();
  }

  /** Has it ask now rather than in a while: whoever had the duty may have left. */
  hurry(): void {
    if (this.hasStopped || this.timer === undefined) return;
    clearTimeout(this.timer);
    this.go();
  }

  /** Takes part no more. Resolves when nothing is under way, and another instance may take the duty. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    clearTimeout(this.timer);
    await this.turn;
    if (!this.hasIt) return;
    this.hasIt = false;
    await this.options.leave?.().catch(() => {
      // It runs out by itself.
    });
  }

  private go(): void {
    this.timer = undefined;
    this.turn = detached(() => this.takeTurn()).then((askInMs) => {
      if (!this.hasStopped) this.timer = setTimeout(() => this.go(), askInMs);
    });
  }

  /** Resolves to when the next one begins. */
  private async takeTurn(): Promise<number> {
    const { take, work, health, everyMs = 1_000 } = this.options;
    try {
      const { isHeld, askInMs = everyMs } = await take();
      this.hasIt = isHeld;
      if (isHeld && !this.hasStopped) await work();
      health.works();
      return askInMs;
    } catch (error) {
      this.hasIt = false;
      health.failed(error);
      return everyMs;
    }
  }
}
