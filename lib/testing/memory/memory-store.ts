import {
  addressName,
  type DeliveryAddress,
  type DurableCallback,
  neverDeclared,
  type NewDelivery,
} from '../../engine/index.js';
import { Pauses } from './pauses.js';
import { Limited } from './limited.js';
import { copyOf, heldUp, isDue, type Row } from './row.js';

/**
 * Keeps deliveries for several memory engines, as a database does for the instances of an application. It is gone with the
 * process.
 */
export class MemoryStore {
  /** By address, then by id, each in the order in which they were stored. */
  private readonly lanes = new Map<string, Map<string, Row>>();
  /** The identities of all deliveries ever stored, also of those that are done: one that comes again is passed over. */
  private readonly known = new Set<string>();
  /** In the order in which they were completed. */
  private readonly done = new Set<Row>();
  private readonly declared = new Map<string, DurableCallback>();
  private readonly listeners = new Set<() => void>();
  /** The instances that work, in the order in which they began. The first has the duty. */
  private readonly working = new Set<object>();
  /** @internal */
  readonly limited = new Limited();
  private lastPlace = 0;
  /** @internal */
  readonly pauses = new Pauses();

  /** Is told whenever something may have become due. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  changed(): void {
    for (const listener of this.listeners) listener();
  }

  /** @internal */
  begins(instance: object): void {
    this.working.add(instance);
  }

  /** @internal */
  ends(instance: object): void {
    this.working.delete(instance);
  }

  /** @internal */
  isFirst(instance: object): boolean {
    return this.working.values().next().value === instance;
  }

  declare(callbacks: readonly DurableCallback[]): void {
    for (const callback of callbacks) {
      const name = addressName(callback);
      const known = this.declared.get(name);
      if (!known || known.isRemote) this.pauses.inherit(callback);
      if (!callback.isRemote || !known) this.declared.set(name, callback);
    }
    this.adopt();
  }

  add(deliveries: readonly NewDelivery[], now: number): void {
    const unknown = deliveries.find((delivery) => !this.declared.has(addressName(delivery)));
    if (unknown) throw neverDeclared(unknown);
    for (const { delayMs, ...delivery } of deliveries) {
      const identity = `${addressName(delivery)} ${delivery.id}`;
      if (this.known.has(identity)) continue;
      this.known.add(identity);
      this.laneOf(delivery).set(delivery.id, {
        // What is stored is a copy, as anywhere else.
        ...copyOf(delivery),
        storedAt: now,
        place: ++this.lastPlace,
        state: 'waiting',
        // Dates know no fractions.
        since: now + Math.ceil(delayMs),
        attempts: 0,
        spared: 0,
        postponedMs: 0,
        isSuspect: false,
        isRetried: false,
        history: [],
      });
    }
    this.adopt();
    this.changed();
  }

  /**
   * The next delivery that a callback may perform now.
   *
   * @internal
   * @param admits whether an instance takes this one now
   */
  next(callback: DurableCallback, now: number, admits = (_row: Row) => true): Row | undefined {
    if (this.pauses.has(callback)) return undefined;
    const lane = this.laneOf(callback);
    const held = callback.isOrdered ? heldUp(lane) : undefined;
    const limits = this.limited.standing(callback, callback.limits ? this.runningOf(callback) : [], now);
    if (limits.isFull) return undefined;
    for (const row of lane.values())
      if (isDue(row, now) && !held?.has(row) && !limits.isFullFor(row) && admits(row)) return row;
    return undefined;
  }

  /** When the next waiting delivery of a callback will be due that is not, or will be let begin by the callback's rate, unless it is paused. */
  nextDue(callback: DurableCallback, now: number): number | undefined {
    if (this.pauses.has(callback)) return undefined;
    const freeAt = this.limited.freeAt(callback, now);
    let next: number | undefined;
    for (const { state, since } of this.laneOf(callback).values()) {
      const at = since > now ? since : freeAt;
      if (state === 'waiting' && at !== undefined && !(next !== undefined && next <= at)) next = at;
    }
    return next;
  }

  /** What is performed of a callback, also under its former ids. */
  private runningOf({ event, callback, formerly }: DurableCallback): Row[] {
    const lanes = [callback, ...formerly].map((id) => this.laneOf({ event, callback: id }));
    return lanes.flatMap((lane) => [...lane.values()].filter(({ state }) => state === 'running'));
  }

  /** Whether something is performed, or may be now. */
  isBusy(now: number): boolean {
    for (const lane of this.lanes.values()) for (const { state } of lane.values()) if (state === 'running') return true;
    return this.callbacks.some((callback) => this.next(callback, now) !== undefined);
  }

  /** All callbacks that instances have declared. */
  get callbacks(): readonly DurableCallback[] {
    return [...this.declared.values()];
  }

  /** @internal All deliveries that are not done. */
  get rows(): readonly Row[] {
    return [...this.lanes.values()].flatMap((lane) => [...lane.values()]);
  }

  /** @internal All deliveries that are completed, in the order in which they were. */
  get completed(): readonly Row[] {
    return [...this.done];
  }

  /** @internal */
  complete(row: Row): void {
    row.place = ++this.lastPlace;
    this.done.add(row);
    this.remove(row);
  }

  /** @internal */
  remove(row: Row): void {
    this.laneOf(row).delete(row.id);
    this.changed();
  }

  /**
   * Takes claims that were not renewed from those who hold them.
   *
   * @param since when what they held is due, by the clock of deliveries
   */
  expire(now: number, since: number): void {
    for (const row of this.rows) {
      if (!row.claim || row.claim.expiresAt > now) continue;
      const { abort, hasBegun, isOnLoneSuspect } = row.claim;
      if (hasBegun && !isOnLoneSuspect) row.spared++;
      if (hasBegun) Object.assign(row, { isSuspect: true, isRetried: true });
      this.giveBack(row, since);
      abort.abort(new Error('The claim on the delivery has run out'));
    }
  }

  /** @internal Has a delivery wait again whose claim ends without a verdict. */
  giveBack(row: Row, since: number): void {
    Object.assign(row, { claim: undefined, state: 'waiting', since });
    this.changed();
  }

  private laneOf(address: DeliveryAddress): Map<string, Row> {
    const key = addressName(address);
    const lane = this.lanes.get(key) ?? new Map<string, Row>();
    this.lanes.set(key, lane);
    return lane;
  }

  /** Hands deliveries that wait or are dead under a former id to the callback that had the id. */
  private adopt(): void {
    for (const { event, callback, formerly } of this.declared.values()) {
      for (const former of formerly) {
        const lane = this.laneOf({ event, callback: former });
        for (const row of lane.values()) {
          if (row.state === 'running') continue;
          lane.delete(row.id);
          const identity = `${addressName({ event, callback })} ${row.id}`;
          if (this.known.has(identity)) continue;
          this.known.add(identity);
          row.callback = callback;
          this.laneOf(row).set(row.id, row);
        }
      }
    }
  }
}
