import { messageOf, NoAnswerError } from '../engine/index.js';

/** How much is under way at once in a lane: so many runs, of so many characters. One that is longer goes alone. */
const MOST_RUNS = 1_000;
const MOST_TEXT = 1 << 20;

interface Waiting {
  readonly length: number;
  readonly go: () => void;
  readonly giveUp: (error: Error) => void;
}

/**
 * Has runs sent in the order in which they come, each when few enough are under way. So one that is sent is answered soon, and its
 * time does not pass while it waits for others.
 *
 * When one is not answered in time, those that wait behind it are given up.
 */
export class Lane {
  private readonly waiting = new Set<Waiting>();
  private runs = 0;
  private text = 0;

  /**
   * Sends a run, now or later. Resolves and rejects as that does.
   *
   * @param length the length of its text
   * @param send has a time limit of its own
   */
  async send(length: number, send: () => Promise<void>): Promise<void> {
    if (this.waiting.size > 0 || !this.hasRoomFor(length)) await this.turn(length);
    else this.enter(length);
    try {
      await send();
    } catch (error) {
      if (isUnanswered(error)) this.giveUp(error);
      throw error;
    } finally {
      this.runs--;
      this.text -= length;
      this.goOn();
    }
  }

  private hasRoomFor(length: number): boolean {
    return this.runs === 0 || (this.runs < MOST_RUNS && this.text + length <= MOST_TEXT);
  }

  private enter(length: number): void {
    this.runs++;
    this.text += length;
  }

  private turn(length: number): Promise<void> {
    return new Promise((go, giveUp) => this.waiting.add({ length, go, giveUp }));
  }

  private goOn(): void {
    for (const one of this.waiting) {
      if (!this.hasRoomFor(one.length)) break;
      this.waiting.delete(one);
      this.enter(one.length);
      one.go();
    }
  }

  private giveUp(cause: unknown): void {
    const error = new Error(`it has waited behind another, which failed: ${messageOf(cause)}`, { cause });
    for (const { giveUp } of this.waiting) giveUp(error);
    this.waiting.clear();
  }
}

const isUnanswered = (error: unknown) =>
  (error as { cause?: unknown } | null | undefined)?.cause instanceof NoAnswerError;
