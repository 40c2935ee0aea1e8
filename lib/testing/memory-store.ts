import type {
  DeliveryAddress,
  DeliveryCounts,
  DeliveryFilter,
  DeliveryQuery,
  DurableCallback,
  KeptDelivery,
  NewDelivery,
  StoredError,
} from '../index.js';

/** A delivery in a {@link MemoryStore}. */
export interface Row {
  readonly event: string;
  callback: string;
  readonly id: string;
  readonly key?: string;
  readonly arguments: NewDelivery['arguments'];
  readonly storedAt: number;
  /** The order in which they were stored. */
  readonly position: number;
  state: 'waiting' | 'running' | 'dead';
  since: number;
  attempts: number;
  /** It has been performed, and is to be again: nothing of its key overtakes it. */
  isRetried: boolean;
  claim?: Claim;
  error?: StoredError;
}

/** What an instance holds while it performs a delivery. */
export interface Claim {
  expiresAt: number;
  readonly abort: AbortController;
}

const keyOf = ({ event, callback }: DeliveryAddress) => JSON.stringify([event, callback]);

/** What several memory engines share, as instances of an application share a database. Gone with the process. */
export class MemoryStore {
  private rows: Row[] = [];
  private position = 0;
  /** Of all that were ever stored, also of those that are done: what comes again is passed over. */
  private readonly known = new Set<string>();
  private readonly declared = new Map<string, DurableCallback>();
  private readonly listeners = new Set<() => void>();

  /** Is told whenever something may have become due. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  changed(): void {
    for (const listener of this.listeners) listener();
  }

  declare(callbacks: readonly DurableCallback[]): void {
    for (const callback of callbacks) this.declared.set(keyOf(callback), callback);
    this.adopt();
  }

  add(deliveries: readonly NewDelivery[], now: number): void {
    const unknown = deliveries.find((delivery) => !this.declared.has(keyOf(delivery)));
    if (unknown) throw new Error(`${unknown.callback} was never declared for "${unknown.event}"`);
    for (const { delayMs, ...delivery } of deliveries) {
      const identity = `${keyOf(delivery)} ${delivery.id}`;
      if (this.known.has(identity)) continue;
      this.known.add(identity);
      this.rows.push({
        // What is stored is a copy, as anywhere else.
        ...copyOf(delivery),
        storedAt: now,
        position: this.position++,
        state: 'waiting',
        since: now + delayMs,
        attempts: 0,
        isRetried: false,
      });
    }
    this.adopt();
    this.changed();
  }

  /** The next delivery that a callback may perform now. */
  next(callback: DurableCallback, now: number): Row | undefined {
    return this.of(callback).find(
      (row) => row.state === 'waiting' && row.since <= now && !(callback.isOrdered && this.isHeldUp(row)),
    );
  }

  /** When the next waiting delivery of a callback that is not due yet will be. */
  nextDue(callback: DurableCallback, now: number): number | undefined {
    const times = this.of(callback).flatMap(({ state, since }) => (state === 'waiting' && since > now ? [since] : []));
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  remove(row: Row): void {
    this.rows = this.rows.filter((other) => other !== row);
    this.changed();
  }

  /** Takes claims that were not renewed from those who hold them. */
  expire(now: number): void {
    for (const row of this.rows) {
      if (!row.claim || row.claim.expiresAt > now) continue;
      const { abort } = row.claim;
      Object.assign(row, { claim: undefined, state: 'waiting', since: now, isRetried: true });
      abort.abort(new Error('The claim on the delivery has run out'));
      this.changed();
    }
  }

  counts(now: number): DeliveryCounts[] {
    const counts = new Map<string, { -readonly [Field in keyof DeliveryCounts]: DeliveryCounts[Field] }>();
    for (const row of this.rows) {
      const { event, callback, state, since } = row;
      const count = counts.get(keyOf(row)) ?? { event, callback, waiting: 0, delayed: 0, running: 0, dead: 0 };
      counts.set(keyOf(row), count);
      count[state === 'waiting' && since > now ? 'delayed' : state]++;
    }
    return [...counts.values()];
  }

  list({ state, limit, after, ...filter }: DeliveryQuery): KeptDelivery[] {
    const isBehind = (row: Row) => !after || compare(row, after) > 0;
    return this.matching(filter)
      .filter((row) => row.state === state && isBehind(row))
      .sort(compare)
      .slice(0, limit)
      .map(({ event, callback, id, key, arguments: args, attempts, storedAt, since, error }) => ({
        event,
        callback,
        id,
        ...(key !== undefined && { key }),
        arguments: copyOf(args),
        state,
        attempts,
        storedAt: new Date(storedAt),
        since: new Date(since),
        ...(error && { error }),
      }));
  }

  retry(filter: DeliveryFilter, now: number): number {
    const dead = this.matching(filter).filter(({ state }) => state === 'dead');
    for (const row of dead) Object.assign(row, { state: 'waiting', since: now, attempts: 0, isRetried: true });
    this.changed();
    return dead.length;
  }

  discard(filter: DeliveryFilter): number {
    const idle = new Set(this.matching(filter).filter(({ state }) => state !== 'running'));
    this.rows = this.rows.filter((row) => !idle.has(row));
    this.changed();
    return idle.size;
  }

  private of(address: DeliveryAddress): Row[] {
    return this.rows.filter((row) => row.event === address.event && row.callback === address.callback);
  }

  private matching({ event, callback, ids }: DeliveryFilter): Row[] {
    return this.rows.filter(
      (row) =>
        (event === undefined || row.event === event) &&
        (callback === undefined || row.callback === callback) &&
        (ids === undefined || ids.includes(row.id)),
    );
  }

  /** By one of its key that is running, is dead, or is to be tried again. Among the rest the first stored is found first. */
  private isHeldUp(row: Row): boolean {
    return this.of(row).some(
      (other) => other !== row && other.key === row.key && (other.state !== 'waiting' || other.isRetried),
    );
  }

  /** What waits or is dead under a former id goes to the callback that had it. */
  private adopt(): void {
    for (const { event, callback, formerly } of this.declared.values()) {
      for (const former of formerly) {
        for (const row of this.of({ event, callback: former })) {
          if (row.state === 'running') continue;
          const identity = `${keyOf({ event, callback })} ${row.id}`;
          if (this.known.has(identity)) this.rows = this.rows.filter((other) => other !== row);
          this.known.add(identity);
          row.callback = callback;
        }
      }
    }
  }
}

/** As JSON, which is what deliveries are made of. */
export const copyOf = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const compare = (one: DeliveryAddress & { id: string }, other: DeliveryAddress & { id: string }) =>
  order(one.id, other.id) || order(one.event, other.event) || order(one.callback, other.callback);

const order = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0);
