interface Entry<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Puts what is asked for while a statement is under way into the next one, together: alone nobody waits, and under load
 * a statement serves many.
 */
export class Batches<Item, Answer> {
  private waiting: Entry<Item, Answer>[] = [];
  private isRunning = false;

  constructor(
    private readonly run: (items: readonly Item[]) => Promise<readonly Answer[]>,
    private readonly most = 200,
  ) {}

  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      if (!this.isRunning) void this.work();
    });
  }

  private async work(): Promise<void> {
    this.isRunning = true;
    // What is asked for in the same breath goes along.
    await Promise.resolve();
    while (this.waiting.length > 0) {
      const entries = this.waiting.splice(0, this.most);
      try {
        const answers = await this.run(entries.map(({ item }) => item));
        entries.forEach(({ resolve }, index) => resolve(answers[index]));
      } catch (error) {
        for (const { reject } of entries) reject(error);
      }
    }
    this.isRunning = false;
  }
}
