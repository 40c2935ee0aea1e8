import {
  addressName,
  countsByAddress,
  cursorOf,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryQuery,
  fits,
  type KeptDelivery,
  readCursor,
  type RetriedPortion,
  type RetryPortion,
} from '../../engine/index.js';
import type { MemoryStore } from './memory-store.js';
import { copyOf, type Row } from './row.js';

/** Looks into the deliveries of a memory store, and retries or discards them. */
export class KeptRows {
  constructor(private readonly store: MemoryStore) {}

  counts(now: number): DeliveryCounts[] {
    const found = this.store.rows.map(({ event, callback, state, since }) => {
      const counted = state === 'waiting' && since > now ? 'delayed' : state;
      return { event, callback, [counted]: 1, ...(counted === 'waiting' && { oldestDueAt: new Date(since) }) };
    });
    const paused = this.store.callbacks.flatMap(({ event, callback }) => {
      const since = this.store.pauses.since({ event, callback });
      return since === undefined ? [] : [{ event, callback, pausedSince: new Date(since) }];
    });
    return countsByAddress([...found, ...paused]);
  }

  list({ state, limit, after, ...filter }: DeliveryQuery): KeptDelivery[] {
    return this.matching(filter, state, after)
      .slice(0, limit)
      .map((row) => ({
        event: row.event,
        callback: row.callback,
        id: row.id,
        ...(row.givenId !== undefined && { givenId: row.givenId }),
        ...(row.key !== undefined && { key: row.key }),
        ...(row.headers && { headers: copyOf(row.headers) }),
        arguments: copyOf(row.arguments),
        state,
        attempts: row.attempts,
        storedAt: new Date(row.storedAt),
        since: new Date(row.since),
        ...(row.error && { error: row.error }),
        cursor: cursorOf(state, String(row.place)),
      }));
  }

  retry(filter: DeliveryFilter, { limit, after }: RetryPortion, now: number): RetriedPortion {
    const dead = this.matching(filter, 'dead', after);
    const portion = dead.slice(0, limit);
    const change = { state: 'waiting', since: now, attempts: 0, spared: 0, postponedMs: 0, isRetried: true };
    for (const row of portion) Object.assign(row, change);
    this.store.changed();
    const last = portion.at(-1);
    return {
      count: portion.length,
      ...(last && dead.length > limit && { after: cursorOf('dead', String(last.place)) }),
    };
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

  discard(filter: DeliveryFilter): number {
    const idle = [...this.matching(filter, 'waiting'), ...this.matching(filter, 'dead')];
    for (const row of idle) this.store.remove(row);
    return idle.length;
  }

  /** The deliveries that a filter means, in the order of storing. */
  private matching(filter: DeliveryFilter, state: Row['state'], after?: string): Row[] {
    const wanted = filter.ids && new Set(filter.ids);
    const from = after === undefined ? 0 : Number(readCursor(after, state, [/^\d{1,15}$/])[0]);
    return this.store.rows
      .filter((row) => row.state === state && row.place > from && fits(row, filter) && (!wanted || wanted.has(row.id)))
      .sort((one, other) => one.place - other.place);
  }
}
