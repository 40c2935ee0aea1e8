import {
  addressName,
  countsByAddress,
  cursorOf,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryPage,
  type DeliveryQuery,
  type DeliveryState,
  type DiscardedPortion,
  type DiscardPortion,
  fits,
  type FoundDeliveries,
  isMeant,
  type KeptDelivery,
  readCursor,
  type RetriedPortion,
  type RetryPortion,
} from '../../engine/index.js';
import type { MemoryStore } from './memory-store.js';
import { deliveryOf, type Row } from './row.js';

const HOUR_MS = 60 * 60 * 1_000;

/** Looks into the deliveries of a memory store, and retries or discards them. */
export class KeptRows {
  constructor(private readonly store: MemoryStore) {}

  counts(now: number): DeliveryCounts[] {
    const counted = this.store.rows.map(({ event, callback, state, since }): FoundDeliveries => {
      const as = state === 'waiting' && since > now ? 'delayed' : state;
      return { event, callback, [as]: 1, ...(as === 'waiting' && { oldestDueAt: new Date(since) }) };
    });
    const paused = this.store.callbacks.flatMap(({ event, callback }) => {
      const since = this.store.pauses.since({ event, callback });
      return since === undefined ? [] : [{ event, callback, pausedSince: new Date(since) }];
    });
    return countsByAddress([...counted, ...this.lastHour(now), ...paused]);
  }

  list({ limit, order = 'oldest', after, state, ...filter }: DeliveryQuery): DeliveryPage {
    const matching = this.matching(filter, { state, order, after });
    const page = matching.slice(0, limit);
    return { found: page.map(keptOf), scanned: page.length, ...goingOn(matching, page, state) };
  }

  retry(filter: DeliveryFilter, { limit, after }: RetryPortion, now: number): RetriedPortion {
    const dead = this.matching(filter, { state: 'dead', after });
    const portion = dead.slice(0, limit);
    const change = { state: 'waiting', since: now, attempts: 0, spared: 0, postponedMs: 0, isRetried: true };
    for (const row of portion) Object.assign(row, change);
    this.store.changed();
    return { count: portion.length, ...goingOn(dead, portion, 'dead') };
  }

  /** Removes what died at a time, or earlier. */
  removeDead(before: number): { event: string; callback: string; count: number }[] {
    const counts = new Map<string, { event: string; callback: string; count: number }>();
    for (const row of this.store.rows.filter(({ state, since }) => state === 'dead' && since <= before)) {
      const { event, callback } = row;
      const key = addressName(row);
      counts.set(key, { event, callback, count: (counts.get(key)?.count ?? 0) + 1 });
      this.store.remove(row);
    }
    return [...counts.values()];
  }

  discard(filter: DeliveryFilter, { limit, state, after }: DiscardPortion): DiscardedPortion {
    const idle = state
      ? this.matching(filter, { state, after })
      : [...this.matching(filter, { state: 'waiting' }), ...this.matching(filter, { state: 'dead' })];
    const portion = state ? idle.slice(0, limit) : idle;
    for (const row of portion) this.store.remove(row);
    return { count: portion.length, ...(state && goingOn(idle, portion, state)) };
  }

  /** The deliveries in a state that a filter means, in order. */
  private matching(
    filter: DeliveryFilter,
    { state, order = 'oldest', after }: Pick<DeliveryQuery, 'state' | 'order' | 'after'>,
  ): Row[] {
    const wanted = filter.ids && new Set(filter.ids);
    const from = after === undefined ? undefined : Number(readCursor(after, state, [/^\d{1,15}$/])[0]);
    const way = order === 'newest' ? -1 : 1;
    return [...this.store.rows, ...this.store.completed]
      .filter((row) => row.state === state && (from === undefined || (row.place - from) * way > 0))
      .filter((row) => fits(row, filter) && (!wanted || wanted.has(row.id)) && isMeant(tellingOf(row), filter))
      .sort((one, other) => (one.place - other.place) * way);
  }

  private lastHour(now: number): FoundDeliveries[] {
    return [...this.store.rows, ...this.store.completed].map(({ event, callback, state, since }) => {
      const countOf = (one: DeliveryState) => (state === one && since > now - HOUR_MS ? 1 : 0);
      return { event, callback, lastHour: { dead: countOf('dead'), completed: countOf('completed'), isExact: true } };
    });
  }
}

/** Where to go on, if there are more than those of a portion. */
const goingOn = (all: readonly Row[], portion: readonly Row[], state: DeliveryState) =>
  portion.length > 0 && all.length > portion.length ? { after: cursorOf(state, String(portion.at(-1)!.place)) } : {};

/** What of a row filters look at. */
const tellingOf = ({ storedAt, since, ...row }: Row) => ({
  ...row,
  storedAt: new Date(storedAt),
  since: new Date(since),
});

const keptOf = (row: Row): KeptDelivery => ({
  ...deliveryOf(row),
  state: row.state,
  attempts: row.attempts,
  storedAt: new Date(row.storedAt),
  since: new Date(row.since),
  ...(row.error && { error: row.error }),
  ...(row.history.length > 0 && { history: row.history }),
});
