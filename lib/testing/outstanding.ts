import { fits, timers } from '../engine/index.js';
import type { EventDeliveries, EventsInspector, KeptEvent } from '../index.js';
import type { VirtualClock } from './memory/clock.js';
import type { MemoryStore } from './memory/memory-store.js';
import type { Row } from './memory/row.js';
import type { Recorder, StoredRun } from './recorder.js';

/** Tells what is left of the deliveries that runs have stored. */
export interface Outstanding {
  /** Whether a delivery is being performed, or is due. If not, nothing more happens until the time moves on. */
  isBusy(): Promise<boolean>;
  /** Names the deliveries that make it busy. */
  describe(): Promise<readonly string[]>;
  /** When the next delivery is due, where the test moves the time. */
  nextDue(): number | undefined;
  /** Resolves when something may have changed that this application did not do itself. */
  changed(): Promise<void>;
}

/** Looks into the memory engine's store, which only this application has. */
export class OutstandingInMemory implements Outstanding {
  constructor(
    private readonly store: MemoryStore,
    private readonly clock: VirtualClock,
  ) {}

  async isBusy(): Promise<boolean> {
    return this.store.isBusy(this.clock.now());
  }

  async describe(): Promise<readonly string[]> {
    const now = this.clock.now();
    const isDue = (row: Row) => row.state === 'waiting' && row.since <= now && !this.store.pauses.has(row);
    return named(this.store.rows.filter((row) => row.state === 'running' || isDue(row)));
  }

  nextDue(): number | undefined {
    const now = this.clock.now();
    const times = this.store.callbacks.flatMap((callback) => this.store.nextDue(callback, now) ?? []);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  changed(): Promise<void> {
    return new Promise((resolve) => {
      const unsubscribe = this.store.subscribe(() => {
        unsubscribe();
        resolve();
      });
    });
  }
}

const PAGE = 1_000;
/** Nobody tells this application what others do with deliveries, so it looks again. */
const LOOK_AGAIN_MS = 50;

/**
 * In the order in which a delivery goes through them. One that ran when those that wait were listed, and then went back to
 * them, is among them the second time.
 */
const STATES = ['waiting', 'running', 'waiting', 'dead'] as const;

/** Asks whatever engine the application has, which other applications may share. */
export class OutstandingInEngine implements Outstanding {
  constructor(
    private readonly inspector: EventsInspector,
    private readonly deliveries: EventDeliveries,
    private readonly recorder: Recorder,
  ) {}

  async isBusy(): Promise<boolean> {
    return (await this.open()).length > 0;
  }

  async describe(): Promise<readonly string[]> {
    return named(await this.open());
  }

  nextDue(): undefined {}

  changed(): Promise<void> {
    return timers.sleep(LOOK_AGAIN_MS);
  }

  private async open(): Promise<readonly KeptEvent[]> {
    const runs = this.recorder.openRuns();
    if (runs.length === 0) return [];
    const kept = await this.deliveriesOf(runs);
    const found = new Set(kept.map(({ event, id }) => `${id} ${event}`));
    this.recorder.forgetOpen(runs.filter(({ event, id }) => !found.has(`${id} ${event}`)));
    const ordered = new Set(this.inspector.callbacks.flatMap((one) => (one.isOrdered ? [one.callback] : [])));
    const keyed = kept.filter(({ callback }) => ordered.has(callback)).map((one) => [one, laneOf(one)] as const);
    const stuck = new Set(keyed.flatMap(([{ state }, lane]) => (state === 'dead' ? [lane] : [])));
    // A delivery behind a dead one waits until somebody retries or discards that.
    const held = new Set(keyed.flatMap(([one, lane]) => (stuck.has(lane) ? [one] : [])));
    const open = kept.filter((one) => one.state !== 'dead' && !held.has(one));
    if (!open.some(({ state }) => state === 'waiting')) return open;
    // So does one of a paused callback, until somebody resumes that.
    const paused = (await this.deliveries.counts()).filter(({ pausedSince }) => pausedSince);
    const isPaused = (one: KeptEvent) => paused.some((count) => fits(count, one));
    return open.filter((one) => one.state === 'running' || !isPaused(one));
  }

  private async deliveriesOf(runs: readonly StoredRun[]): Promise<KeptEvent[]> {
    const found = new Map<string, KeptEvent>();
    for (const { event, callback, delivery } of this.inspector.callbacks) {
      const own = delivery === 'durable' ? runs.filter(({ eventKey }) => eventKey === event) : [];
      for (let at = 0; at < own.length; at += PAGE) {
        const some = own.slice(at, at + PAGE);
        const selection = { event: some[0].event, callback, ids: some.map(({ id }) => id) };
        for (const state of STATES) {
          // At most one of each id, so that a page holds them all.
          const kept = (await this.deliveries.list({ ...selection, state, limit: PAGE })).found;
          for (const one of kept) found.set(`${one.id} ${laneOf(one)}`, one);
        }
      }
    }
    return [...found.values()];
  }
}

/** Names the row of deliveries that follow each other, one at a time. */
const laneOf = ({ event, callback, key }: KeptEvent) => JSON.stringify([event, callback, key]);

/** Counts alike deliveries, as in `2 deliveries of "user_joined" to Emails.greetNewUser (waiting)`. */
function named(deliveries: readonly (KeptEvent | Row)[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { event, callback, state, since } of deliveries) {
    const isLater = state === 'waiting' && since instanceof Date && since.getTime() > Date.now();
    const what = `of "${event}" to ${callback} (${state}${isLater ? `, due at ${since.toISOString()}` : ''})`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].map(([what, count]) => `${count === 1 ? '1 delivery' : `${count} deliveries`} ${what}`);
}
