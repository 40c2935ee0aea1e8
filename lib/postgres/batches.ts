import { timers } from '../engine/index.js';
import { NotSentError } from './connection/connection.js';

const { clearTimeout, setTimeout } = timers;

interface Entry<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
  /** When its own time is over, however long the others may still wait. */
  readonly deadline: number;
  timer?: NodeJS.Timeout;
}

/**
 * An item whose time ends so shortly before a statement's is answered by the statement itself, which knows more than a
 * timer.
 */
const CLOSE_MS = 100;

/**
 * Collects the items that are added while a statement is under way, and gives them all to the next one. So an item that
 * comes alone does not wait, and under load one statement serves many.
 */
export class Batches<Item, Answer> {
  private readonly waiting = new Set<Entry<Item, Answer>>();
  private isRunning = false;

  /**
   * @param run runs one statement for several items, and answers each of them
   * @param patienceMs after which an item is given up, from when it was added; without it, `run` has its own limit
   * @param most how many items one statement takes
   */
  constructor(
    private readonly run: (items: readonly Item[], leftMs: number) => Promise<readonly Answer[]>,
    private readonly patienceMs = Infinity,
    private readonly most = 200,
  ) {}

  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { patienceMs } = this;
      const entry: Entry<Item, Answer> = { item, resolve, reject, deadline: performance.now() + patienceMs };
      if (patienceMs < Infinity) entry.timer = setTimeout(() => this.giveUp(entry), patienceMs);
      this.waiting.add(entry);
      if (!this.isRunning) void this.work();
    });
  }

  private giveUp(entry: Entry<Item, Answer>): void {
    const message = `no answer within ${this.patienceMs} ms`;
    entry.reject(this.waiting.delete(entry) ? new NotSentError(message) : new Error(message));
  }

  private async work(): Promise<void> {
    this.isRunning = true;
    // Items that are added in the same tick go along.
    await Promise.resolve();
    while (this.waiting.size > 0) await this.runNext();
    this.isRunning = false;
  }

  private async runNext(): Promise<void> {
    const entries: Entry<Item, Answer>[] = [];
    for (const entry of this.waiting) {
      if (entries.length === this.most) break;
      this.waiting.delete(entry);
      entries.push(entry);
    }
    const { deadline } = entries[entries.length - 1];
    for (const entry of entries) if (deadline - entry.deadline < CLOSE_MS) clearTimeout(entry.timer);
    try {
      const answers = await this.run(
        entries.map(({ item }) => item),
        Math.max(1, deadline - performance.now()),
      );
      entries.forEach(({ resolve }, index) => resolve(answers[index]));
    } catch (error) {
      for (const { reject } of entries) reject(error);
    }
    for (const { timer } of entries) clearTimeout(timer);
  }
}
