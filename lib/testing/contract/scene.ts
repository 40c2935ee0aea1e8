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

const { sleep } = timers;

/** What an engine's own specs provide to {@link engineContract}. */
export interface EngineHarness {
  /**
   * Another instance on the same store, as in another process. The contract starts and stops it.
   *
   * @param leaseMs how long its claims last that are not renewed, in milliseconds: `leaseMs` of the harness in the rules
   * that wait for the end of one, and half a minute in all others, so that a slow machine loses none
   */
  open(leaseMs: number): DurableEngine;
  /** A short lease, in milliseconds: the shorter, the sooner the contract is through. */
  readonly leaseMs: number;
  /** Cuts an instance off from its store for good, as a broken cable does: nothing of what it does arrives any more. */
  cutOff(engine: DurableEngine): void | Promise<void>;
  /**
   * For an engine with the capability: does `work` in a transaction, which commits when it resolves and is rolled back
   * when it rejects.
   */
  transaction?(work: (transaction: SqlTransaction) => Promise<void>): Promise<void>;
}

export type ContractNeed = 'transactions' | 'order' | 'several sessions';

/** One rule that every engine must keep. */
export interface ContractRule {
  /** A sentence about an engine, to be the title of a test. */
  readonly title: string;
  /**
   * What an engine must have for the rule to apply: a capability, or several sessions, which an embedded store has not:
   * no instance can be cut off from it, and no transactions overlap.
   */
  readonly needs: readonly ContractNeed[];
  /** Rejects, by an assertion, when the rule is broken. */
  check(harness: EngineHarness): Promise<void>;
}

/** How long the contract waits for what must happen. */
const PATIENCE_MS = 20_000;

/** Longer than the contract waits: what only the end of a claim would bring about comes too late. */
const LONG_LEASE_MS = 30_000;

/** Long enough for something to happen that must not. */
export const MOMENT_MS = 150;

export const error = { name: 'Error', message: 'the mail server is down', stack: 'Error: …\n    at send' };

/** What one rule does with engines: its own instances, callbacks and deliveries, and no traces left. */
class Scene {
  private readonly engines: DurableEngine[] = [];
  private readonly event = `event-${randomUUID()}`;
  /** What engines have reported that have no reason to. */
  readonly reports: string[] = [];
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
  openBrief(...callbacks: DurableCallback[]): Promise<DurableEngine> {
    return this.opened(this.harness.leaseMs, callbacks);
  }

  private async opened(leaseMs: number, callbacks: DurableCallback[]): Promise<DurableEngine> {
    const engine = this.harness.open(leaseMs);
    this.engines.push(engine);
    const ignore = () => {};
    const report: EngineHost['report'] = (message, error) => {
      if (!this.cutOff.has(engine)) this.reports.push(`${message}: ${String(error)}`);
    };
    await engine.start({ log: ignore, warn: ignore, report });
    await engine.declare(callbacks);
    return engine;
  }

  counts = async (
    engine: DurableEngine,
    callback = 'Emails.greet',
  ): Promise<Omit<DeliveryCounts, 'event' | 'callback'>> => {
    const all = await engine.counts();
    const found = all.find((one) => one.event === this.event && one.callback === callback);
    const { waiting, delayed, running, dead } = found ?? { waiting: 0, delayed: 0, running: 0, dead: 0 };
    return { waiting, delayed, running, dead };
  };

  filter = (rest: { callback?: string; ids?: string[] } = {}) => ({ event: this.event, ...rest });

  async close(): Promise<void> {
    for (const engine of this.engines) {
      await engine.stopWorking().catch(() => {});
      await engine.stop().catch(() => {});
    }
  }
}

/** The attempts that an instance has begun at deliveries of a callback. */
export class Attempts {
  readonly all: EngineAttempt[] = [];

  constructor(
    engine: DurableEngine,
    callback: DurableCallback,
    perform: (attempt: EngineAttempt) => Promise<unknown> = (attempt) => attempt.complete(),
  ) {
    engine.work(callback, async (attempt) => {
      this.all.push(attempt);
      // Of an instance that is cut off it may fail: but the function passed never rejects.
      await perform(attempt).catch(() => {});
    });
  }

  get ids(): string[] {
    return this.all.map(({ delivery }) => delivery.id);
  }

  async begun(count: number): Promise<EngineAttempt[]> {
    await until(`${count} attempts have begun, rather than ${this.all.length}`, () => this.all.length >= count);
    return this.all;
  }

  async nothingFor(ms = MOMENT_MS): Promise<void> {
    const before = this.all.length;
    await sleep(ms);
    assert.equal(this.all.length, before, 'an attempt began that must not');
  }
}

/** Compares as JSON, which is what deliveries are made of, wherever an engine has got its objects from. */
export const same = (found: unknown, expected: unknown) =>
  assert.deepEqual(JSON.parse(JSON.stringify(found)), JSON.parse(JSON.stringify(expected)));

export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) assert.fail(`After ${PATIENCE_MS} ms it is still not so that ${what}`);
    await sleep(5);
  }
}

export function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

/** A rule whose check has a scene of its own. */
export const rule = (
  title: string,
  check: (scene: Scene, harness: EngineHarness) => Promise<void>,
  ...needs: ContractNeed[]
): ContractRule => ({
  title,
  needs,
  async check(harness) {
    const scene = new Scene(harness);
    try {
      await check(scene, scene.harness);
      assert.deepEqual(scene.reports, [], 'a problem was reported where there was none');
    } finally {
      await scene.close();
    }
  },
});
