import {
  type BatchObservableCallback,
  type BatchObservableResult,
  diag,
  metrics,
  type Observable,
} from '@opentelemetry/api';
import { addressName, within } from '../engine/index.js';
import { type CallbackDeliveries, type DeliveryAddress, EventDeliveries, EventsInspector } from '../index.js';
import { ofDeliveries } from './attributes.js';
import { NAME } from './sdk.js';

/** How long what was read of the store will do. */
const GOOD_FOR_MS = 15_000;
/** How long a collection of metrics waits for the store. */
const PATIENCE_MS = 1_000;
const STATES = ['waiting', 'delayed', 'running', 'dead'] as const;
const NOTHING = { waiting: 0, delayed: 0, running: 0, dead: 0 };

type Shown = Pick<CallbackDeliveries, 'event' | 'callback' | 'oldestDueAt' | (typeof STATES)[number]>;

/**
 * Shows how many deliveries each callback has, and how long the oldest has waited. One instance of the application reads that, when
 * the application's metrics are collected.
 */
export class Gauges {
  private readonly observables: Observable[];
  private readonly meter;
  private counts: readonly CallbackDeliveries[] = [];
  private readAt = -Infinity;
  private reading: Promise<void> | undefined;
  /** Whether the store was there when this instance did not have the duty: then another one has it. */
  private knowsOfOthers = false;
  /** What the SDK was told of, and not that it is gone. */
  private readonly shown = new Map<string, DeliveryAddress>();

  constructor(
    private readonly deliveries: EventDeliveries,
    private readonly inspector: EventsInspector,
  ) {
    const meter = (this.meter = metrics.getMeter(NAME));
    this.observables = [
      meter.createObservableGauge('nestjs_callbacks.deliveries', {
        unit: '{delivery}',
        description: 'Deliveries that are kept, by state',
      }),
      meter.createObservableGauge('nestjs_callbacks.deliveries.oldest.age', {
        unit: 's',
        description: 'How long the delivery that has waited longest has been due',
      }),
    ];
    meter.addBatchObservableCallback(this.observe, this.observables);
  }

  stop(): void {
    this.meter.removeBatchObservableCallback(this.observe, this.observables);
  }

  private readonly observe: BatchObservableCallback = async (result) => {
    const { hasDuty } = this.inspector;
    if (!hasDuty && this.shown.size === 0) return;
    if (performance.now() - this.readAt >= GOOD_FOR_MS) this.reading ??= this.read(hasDuty);
    // A store that hangs must not keep others' metrics waiting.
    await within(PATIENCE_MS, this.reading ?? Promise.resolve(), { keepsProcess: false }).catch(() => {});
    // While the store is away, nobody has the duty.
    const isOthers = !hasDuty && this.knowsOfOthers;
    const shown = new Map(this.shown);
    for (const one of isOthers ? [] : this.counts) {
      shown.delete(addressName(one));
      this.show(result, one);
    }
    // An SDK shows what it was told last for ever.
    for (const [key, { event, callback }] of shown) {
      this.show(result, { event, callback, ...NOTHING });
      this.shown.delete(key);
    }
  };

  private show(result: BatchObservableResult, one: Shown): void {
    const [count, age] = this.observables;
    const attributes = ofDeliveries(one.event, one.callback);
    for (const state of STATES) result.observe(count, one[state], { ...attributes, 'nestjs_callbacks.state': state });
    const ageMs = one.oldestDueAt ? Math.max(0, Date.now() - one.oldestDueAt.getTime()) : 0;
    result.observe(age, ageMs / 1_000, attributes);
    this.shown.set(addressName(one), one);
  }

  /** Reads anew. Where that fails, what was read before is the best that is known: the oldest grows older. */
  private async read(hasDuty: boolean): Promise<void> {
    this.readAt = performance.now();
    this.knowsOfOthers = false;
    try {
      this.counts = await this.deliveries.counts();
      this.knowsOfOthers = !hasDuty;
    } catch (error) {
      diag.warn('nestjs-callbacks: the deliveries could not be counted', error);
    } finally {
      this.reading = undefined;
    }
  }
}
