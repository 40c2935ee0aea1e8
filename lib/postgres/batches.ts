import { isInVain, NotSentError } from './connection/connection.js';

interface Entry<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** What one statement takes. */
const MOST_ITEMS = 200;
const MOST_TEXT = 1 << 20;

/**
 * Collects the items that are added while a statement is under way, and gives them all to the next one. So an item that
 * comes alone does not wait, and under load one statement serves many.
 *
 * An item waits as long as the statements before it are answered. When one is not, those that wait behind it are given up.
 */
export class Batches<Item, Answer> {
  private waiting: Entry<Item, Answer>[] = [];
  private isRunning = false;

  /**
   * @param run runs one statement for several items, and answers each of them. It has a limit of its own
   * @param lengthOf the length of an item's text: an item that is too long for any other goes alone
   * @param onIdle is told when nothing waits any more
   */
  constructor(
    private readonly run: (items: readonly Item[]) => Promise<readonly Answer[]>,
    private readonly lengthOf: (item: Item) => number = () => 0,
    private readonly onIdle = () => {},
  ) {}

  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      if (!this.isRunning) void this.work();
    });
  }

  private async work(): Promise<void> {
    this.isRunning = true;
    // Items that are added in the same tick go along.
    await Promise.resolve();
    while (this.waiting.length > 0) await this.runNext();
    this.isRunning = false;
    this.onIdle();
  }

  private async runNext(): Promise<void> {
    const entries = this.next();
    try {
      const answers = await this.run(entries.map(({ item }) => item));
      entries.forEach(({ resolve }, index) => resolve(answers[index]));
    } catch (error) {
      for (const { reject } of entries) reject(error);
      if (isInVain(error)) this.giveUp(error);
    }
  }

  private next(): Entry<Item, Answer>[] {
    let [items, length] = [0, 0];
    for (const { item } of this.waiting) {
      length += this.lengthOf(item);
      if (items === MOST_ITEMS || (items > 0 && length > MOST_TEXT)) break;
      items++;
    }
    return this.waiting.splice(0, items);
  }

  private giveUp(cause: unknown): void {
    const given = this.waiting;
    this.waiting = [];
    for (const { reject } of given) reject(NotSentError.behind(cause));
  }
}
