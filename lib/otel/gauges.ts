import { type BatchObservableCallback, diag, metrics, type Observable } from '@opentelemetry/api';
import { within } from '../engine/index.js';
import { type CallbackDeliveries, EventDeliveries, EventsInspector } from '../index.js';
import { ofDeliveries } from './attributes.js';

/** How long what was read of the store will do. */
const GOOD_FOR_MS = 15_000;
/** How long a collection of metrics waits for the store. */
const PATIENCE_MS = 1_000;
const STATES = ['waiting', 'delayed', 'running', 'dead'] as const;

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

  constructor(
    meterName: string,
    private readonly deliveries: EventDeliveries,
    private readonly inspector: EventsInspector,
  ) {
    const meter = (this.meter = metrics.getMeter(meterName));
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
    if (!this.inspector.hasDuty) return;
    if (performance.now() - this.readAt >= GOOD_FOR_MS) this.reading ??= this.read();
    // A store that hangs must not keep others' metrics waiting.
    await within(PATIENCE_MS, this.reading ?? Promise.resolve(), { keepsProcess: false }).catch(() => {});
    const [count, age] = this.observables;
    for (const one of this.counts) {
      const attributes = ofDeliveries(one.event, one.callback);
      for (const state of STATES) result.observe(count, one[state], { ...attributes, 'nestjs_callbacks.state': state });
      const ageMs = one.oldestDueAt ? Math.max(0, Date.now() - one.oldestDueAt.getTime()) : 0;
      result.observe(age, ageMs / 1_000, attributes);
    }
  };

  /** Reads anew. Where that fails or hangs there is nothing to show. */
  private async read(): Promise<void> {
    this.readAt = performance.now();
    this.counts = [];
    try {
      this.counts = await this.deliveries.counts();
    } catch (error) {
      diag.warn('nestjs-callbacks: the deliveries could not be counted', error);
    } finally {
      this.reading = undefined;
    }
  }
}
