import { expect } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, EventDeliveries } from 'nestjs-callbacks';
import { timers } from 'nestjs-callbacks/engine';
import { deferred, type StartedApp, until } from '../support/app.js';
import { isIdle, ran } from '../support/engine-suite.js';

/** What `run()` rejects with where the store is at fault. */
interface Refusal {
  readonly code: string;
  readonly id: string;
  readonly message: string;
}

const PAUSE_MS = 3;
const LINES_OF_EACH = 3;

/** What a line runs with: it has the id of what was refused before. */
type Runs = Pick<StartedApp['events'], 'run' | 'with'>;

/** Runs of several instances, one after the other on each line, while things happen to their server. */
export class Load {
  /** What `run()` has resolved for, by line, in this order. */
  readonly acknowledged: number[][] = [];
  readonly refusals: Refusal[] = [];
  private isOver = false;
  private next = 0;
  private readonly lines: Promise<void>[];

  /** @param run stores a number of a line */
  constructor(
    apps: readonly StartedApp[],
    private readonly run: (runs: Runs, line: number, what: number) => Promise<unknown> = (runs, _, what) =>
      runs.run('x', what),
  ) {
    this.lines = apps.flatMap((app, index) =>
      Array.from({ length: LINES_OF_EACH }, (_, own) => this.go(app, index * LINES_OF_EACH + own)),
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

  private async go({ events }: StartedApp, line: number): Promise<void> {
    const own: number[] = (this.acknowledged[line] = []);
    while (!this.isOver) {
      const what = this.next++;
      let id: string | undefined;
      const store = () =>
        this.run(id === undefined ? events : events.with({ id }), line, what).then(
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

/** A callback of `x` that performs nothing until it is released. */
export function heldBack() {
  const gate = deferred();
  @Injectable()
  class Slow {
    @Callback('x', { delivery: 'durable', concurrency: 5 }) async go(what: unknown) {
      await gate.promise;
      ran.push(what);
    }
  }
  return { Slow, release: () => gate.resolve() };
}

/** The store may be away still. */
export const untilBackAndIdle = ([{ app }]: readonly StartedApp[]) =>
  until(() => isIdle(app.get(EventDeliveries)).catch(() => false));

/** All of it was performed, once nothing is left to do, and nothing is dead. */
export async function expectPerformed([{ app }]: readonly StartedApp[], wanted: readonly unknown[]): Promise<void> {
  const deliveries = app.get(EventDeliveries);
  await until(() => isIdle(deliveries));
  const performed = new Set(ran);
  expect(wanted.filter((one) => !performed.has(one))).toEqual([]);
  expect((await deliveries.counts()).filter(({ dead }) => dead > 0)).toEqual([]);
}

/** What was performed of what, in the order of the first time. */
export const firstOf = (performed: readonly unknown[], of: readonly unknown[]) => {
  const wanted = new Set(of);
  return [...new Set(performed)].filter((one) => wanted.has(one));
};
