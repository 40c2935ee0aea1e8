import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { uuidv7 } from 'uuidv7';
import {
  type DeliveryCounts,
  type DurableCallback,
  type DurableEngine,
  type EngineAttempt,
  type EngineHost,
  type NewDelivery,
  type SqlTransaction,
  timers,
} from '../../engine/index.js';
import { Standstill } from './standstill.js';

const { sleep } = timers;

/** Gives the contract engines to check; the specs of an engine implement it. */
export interface EngineHarness {
  /**
   * Makes another instance on the same store, as in another process. The contract starts and stops it.
   *
   * @param leaseMs how long its claims last that are not renewed, in milliseconds: `leaseMs` of the harness in the rules
   * that wait for the end of one, or twice and four times that, if the store stood still meanwhile; and half a minute in all
   * others, so that a slow machine loses none
   */
  open(leaseMs: number): DurableEngine;
  /**
   * A short lease, in milliseconds. The shorter it is, the sooner the contract is through; but a claim must be renewed
   * within it, however slow the engine and the machine.
   */
  readonly leaseMs: number;
  /** Cuts an instance off from its store for good, as a broken cable does. Nothing that it sends arrives any more. */
  cutOff(engine: DurableEngine): void | Promise<void>;
  /**
   * Does `work` in a transaction, which commits when that resolves and is rolled back when it rejects. Engines that take
   * transactions need it.
   */
  transaction?(work: (transaction: SqlTransaction) => Promise<void>): Promise<void>;
  /**
   * How long the contract waits for what must happen, so that its own specs need not wait long for broken engines.
   *
   * @internal
   */
  readonly patienceMs?: number;
}

/** How long the contract waits for what must happen, while nothing happens. */
const PATIENCE_MS = 20_000;

/** Longer than the contract waits, so that an engine cannot pass only because a claim has run out. */
const LONG_LEASE_MS = 30_000;

/** Long enough for something to happen that must not. Too short a moment can only miss that. */
export const MOMENT_MS = 150;

/**
 * Lets a moment pass. It does so in several parts, as a process that was busy for longer than that may come to the end of one
 * moment before it comes to shorter timers.
 */
export async function moment(ms = MOMENT_MS): Promise<void> {
  for (let part = 0; part < 3; part++) await sleep(ms / 3);
}

/** A delay that is not over while a rule is checked, however slow the engine. */
export const FAR_MS = 24 * 60 * 60 * 1_000;

export const error = { name: 'Error', message: 'the mail server is down', stack: 'Error: …\n    at send' };

/** Holds what one rule uses: instances of its own, which it stops at the end, an event, callbacks and deliveries. */
export class Scene {
  private readonly engines: DurableEngine[] = [];
  private readonly event = `event-${randomUUID()}`;
  /** The reports of engines that were not cut off. */
  readonly reports: string[] = [];
  private watching: Promise<void> | undefined;
  private standstill: Standstill | undefined;
  private readonly cutOff = new Set<DurableEngine>();
  readonly harness: EngineHarness;

  constructor(harness: EngineHarness) {
    this.harness = {
      ...harness,
      cutOff: (engine) => {
        this.cutOff.add(engine);
        return harness.cutOff(engine);
      },
    };
  }

  callback(name = 'Emails.greet', options: Partial<DurableCallback> = {}): DurableCallback {
    return { event: this.event, callback: name, formerly: [], isOrdered: false, concurrency: 10, ...options };
  }

  delivery(options: Partial<NewDelivery> = {}): NewDelivery {
    return {
      event: this.event,
      callback: 'Emails.greet',
      id: uuidv7(),
      arguments: ['Ada'],
      delayMs: 0,
      ...options,
    };
  }

  /** An instance that has declared callbacks, and keeps its claims though the machine is slow. */
  open(...callbacks: DurableCallback[]): Promise<DurableEngine> {
    return this.opened(LONG_LEASE_MS, callbacks);
  }

  /** An instance whose claims end soon when they are not renewed. */
  async openBrief(...callbacks: DurableCallback[]): Promise<DurableEngine> {
    await (this.watching ??= this.watchStore());
    return this.opened(this.harness.leaseMs, callbacks);
  }

  /** Whether the store or the machine has stood still for so long that a sound engine may have lost a brief claim. */
  hasStoodStill(): boolean {
    return this.standstill?.hasEndangered(this.harness.leaseMs) ?? false;
  }

  private async watchStore(): Promise<void> {
    const callback = this.callback('Standstill.watch');
    const engine = await this.open(callback);
    this.standstill = new Standstill(() =>
      engine.store([this.delivery({ callback: callback.callback, delayMs: FAR_MS })]),
    );
  }

  private async opened(leaseMs: number, callbacks: DurableCallback[]): Promise<DurableEngine> {
    const engine = this.harness.open(leaseMs);
    this.engines.push(engine);
    const ignore = () => {};
    const report: EngineHost['report'] = (message, error) => {
      if (!this.cutOff.has(engine)) this.reports.push(`${message}: ${String(error)}`);
    };
    await engine.start({ instance: this.instanceOf(engine), log: ignore, warn: ignore, report });
    await engine.declare(callbacks);
    return engine;
  }

  counts = async (
    engine: DurableEngine,
    callback = 'Emails.greet',
  ): Promise<Omit<DeliveryCounts, 'event' | 'callback' | 'isExact'>> => {
    const all = await engine.counts();
    const found = all.find((one) => one.event === this.event && one.callback === callback);
    const { waiting, delayed, running, dead } = found ?? { waiting: 0, delayed: 0, running: 0, dead: 0 };
    return { waiting, delayed, running, dead };
  };

  /** Retries no more than one portion. */
  retry = async (engine: DurableEngine, rest: { callback?: string; ids?: string[] } = {}): Promise<number> =>
    (await engine.retry(this.filter(rest), { limit: 1_000 })).count;

  /** Removes deliveries by their ids. */
  discard = async (engine: DurableEngine, ids: string[]): Promise<number> =>
    (await engine.discard(this.filter({ ids }), { limit: 1_000 })).count;

  /** What an instance is called in the history of deliveries. */
  instanceOf = (engine: DurableEngine): string => `instance-${this.engines.indexOf(engine)}`;

  filter = <Rest extends { callback?: string; ids?: string[] } = {}>(rest: Rest = {} as Rest) => ({
    event: this.event,
    ...rest,
  });

  /** The attempts that an instance begins from now on at deliveries of a callback. */
  attempts(engine: DurableEngine, callback: DurableCallback, perform?: Performing): Attempts {
    return new Attempts(this, engine, callback, perform);
  }

  /** @param progress a number that changes while something happens: as long as it does, this goes on waiting */
  async until(what: string, isSo: () => boolean | Promise<boolean>, progress?: () => number): Promise<void> {
    const { patienceMs = PATIENCE_MS } = this.harness;
    let [seen, since] = [progress?.(), performance.now()];
    while (!(await isSo())) {
      if (progress?.() !== seen) [seen, since] = [progress?.(), performance.now()];
      if (performance.now() - since > patienceMs) {
        const soFar = progress ? ` (${progress()})` : '';
        assert.fail(`After ${patienceMs} ms it is still not so that ${what}${soFar}`);
      }
      await sleep(5);
    }
  }

  async close(): Promise<void> {
    this.standstill?.stop();
    const stopped = this.engines.map(async (engine) => {
      await engine.stopWorking().catch(() => {});
      await engine.stop().catch(() => {});
    });
    await Promise.all(stopped);
  }
}

type Performing = (attempt: EngineAttempt) => Promise<unknown>;

/** The attempts that an instance has begun at deliveries of a callback. */
export class Attempts {
  readonly all: EngineAttempt[] = [];

  constructor(
    private readonly scene: Scene,
    engine: DurableEngine,
    callback: DurableCallback,
    perform: Performing = (attempt) => attempt.complete(),
  ) {
    engine.work(callback, async (attempt) => {
      this.all.push(attempt);
      // Settling may fail where the instance is cut off, but `perform` never rejects.
      await perform(attempt).catch(() => {});
    });
  }

  get ids(): string[] {
    return this.all.map(({ delivery }) => delivery.id);
  }

  async begun(count: number): Promise<EngineAttempt[]> {
    const begun = () => this.all.length;
    await this.scene.until(`${count} attempts have begun`, () => begun() >= count, begun);
    return this.all;
  }

  async nothingFor(ms = MOMENT_MS): Promise<void> {
    const before = this.all.length;
    await moment(ms);
    assert.equal(this.all.length, before, 'an attempt began that must not');
  }
}

/** Compares as JSON, which is what deliveries are made of, wherever an engine has got its objects from. */
export const same = (found: unknown, expected: unknown) =>
  assert.deepEqual(JSON.parse(JSON.stringify(found)), JSON.parse(JSON.stringify(expected)));

/** A point at which some wait until others open it. */
export function gate() {
  let pass!: () => void;
  const opened = new Promise<void>((resolve) => (pass = resolve));
  const made = {
    isOpen: false,
    opened,
    open: () => {
      made.isOpen = true;
      pass();
    },
  };
  return made;
}
