import { timers } from '../engine/index.js';

const { clearTimeout, setTimeout } = timers;

/** One of the places that {@link Turns} hands out. */
export interface Turn {
  leave(): void;
}

/** Lets so many go on at a time; the others wait, in the order in which they came. */
export class Turns {
  private readonly waiting = new Set<(turn: Turn) => void>();

  constructor(private free: number) {}

  /** Resolves to nothing when it is nobody's turn within so many milliseconds. */
  async take(withinMs: number): Promise<Turn | undefined> {
    if (this.free > 0) {
      this.free--;
      return this.turn();
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting.delete(go);
        resolve(undefined);
      }, withinMs);
      const go = (turn: Turn) => {
        clearTimeout(timer);
        resolve(turn);
      };
      this.waiting.add(go);
    });
  }

  private turn(): Turn {
    return { leave: () => this.pass() };
  }

  private pass(): void {
    const [next] = this.waiting;
    if (!next) {
      this.free++;
      return;
    }
    this.waiting.delete(next);
    next(this.turn());
  }
}
