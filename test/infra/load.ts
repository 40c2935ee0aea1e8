import { timers } from 'nestjs-callbacks/engine';
import { type StartedApp, until } from '../support/app.js';

/** What `run()` rejects with where the store is at fault. */
interface Refusal {
  readonly code: string;
  readonly id: string;
  readonly message: string;
}

const PAUSE_MS = 3;

/** Runs of several instances, one after the other on each line, while things happen to their server. */
export class Load {
  /** What `run()` has resolved for, by line, in this order. */
  readonly acknowledged: number[][] = [];
  readonly refusals: Refusal[] = [];
  private isOver = false;
  private next = 0;
  private readonly lines: Promise<void>[];

  /** @param run stores a number of a line, under an id if there is one */
  constructor(
    apps: readonly StartedApp[],
    private readonly run: (app: StartedApp, line: number, what: number, id?: string) => Promise<unknown>,
    linesOfEach = 3,
  ) {
    this.lines = apps.flatMap((app, index) =>
      Array.from({ length: linesOfEach }, (_, own) => this.go(app, index * linesOfEach + own)),
    );
  }

  get all(): number[] {
    return this.acknowledged.flat();
  }

  /** Resolves when each line has been told of so many more that they are stored. */
  async goesOn(more = 20): Promise<void> {
    const before = this.acknowledged.map(({ length }) => length);
    await until(() => this.acknowledged.every(({ length }, line) => length >= before[line] + more));
  }

  /** Resolves when all that has begun is stored. What is refused is run again under the same id until then. */
  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.lines);
  }

  private async go(app: StartedApp, line: number): Promise<void> {
    const own: number[] = (this.acknowledged[line] = []);
    while (!this.isOver) {
      const what = this.next++;
      let id: string | undefined;
      const store = () =>
        this.run(app, line, what, id).then(
          () => true,
          (refusal: Refusal) => {
            this.refusals.push(refusal);
            id = refusal.id;
            return false;
          },
        );
      await until(store);
      own.push(what);
      await timers.sleep(PAUSE_MS);
    }
  }
}

/** What was performed of what, in the order of the first time. */
export const firstOf = (performed: readonly unknown[], of: readonly unknown[]) => {
  const wanted = new Set(of);
  return [...new Set(performed)].filter((one) => wanted.has(one));
};
