import { setImmediate } from '../async/timers.js';
import { AsyncResource } from 'node:async_hooks';
import { asPartOf, tracedRun } from '../reports/traces.js';
import { backgroundFull } from '../errors/run-errors.js';
import type { CompleteOptions } from '../options/events.options.js';
import type { EventsCore } from '../app/shutdown.js';
import { Deferred } from '../async/in-flight.js';
import { perform, type RegisteredCallback, type RegisteredEvent } from '../callbacks/registered-event.js';
import { scopeOf } from '../nest/instance-scope.js';
import { outsideTransactions } from '../transactions/current-transaction.js';

/** Callbacks that nobody waits for: at most so many at once, in the order in which they came. */
export class BackgroundWork {
  private queue: BackgroundDelivery[] = [];
  private taken = 0;
  private running = 0;
  private isScheduled = false;
  private readonly dropped = new Map<string, number>();

  private readonly limits: CompleteOptions['background'];

  constructor(readonly core: EventsCore) {
    this.limits = core.options.background;
  }

  /** Starts all background callbacks of a run, after the code that called `run()` had its turn. */
  start(event: RegisteredEvent, args: readonly unknown[], request: object | undefined): void {
    for (const callback of event.background) this.accept(callback, event, args, request);
  }

  accept(
    callback: RegisteredCallback,
    event: RegisteredEvent,
    args: readonly unknown[],
    request: object | undefined,
  ): void {
    const { concurrency, maxQueued } = this.limits;
    if (this.running + this.queue.length - this.taken >= concurrency + maxQueued) {
      this.drop(callback, event, args);
      return;
    }
    this.recover(callback);
    this.queue.push(new BackgroundDelivery(this, callback, event, args, request));
    this.schedule();
  }

  /** A delivery ended: there is room for the next. */
  release(): void {
    this.running--;
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled || this.running >= this.limits.concurrency || this.taken === this.queue.length) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      while (this.running < this.limits.concurrency && this.taken < this.queue.length) {
        const delivery = this.queue[this.taken++];
        if (delivery.isOver) continue;
        this.running++;
        delivery.begin();
      }
      // The part already taken goes when it is the greater one: each delivery is moved once on average.
      if (this.taken * 2 >= this.queue.length) {
        this.queue = this.queue.slice(this.taken);
        this.taken = 0;
      }
    });
  }

  /** `onError` learns of every dropped delivery; the log of the first, and of how many when there is room again. */
  private drop(callback: RegisteredCallback, event: RegisteredEvent, args: readonly unknown[]): void {
    const { id } = callback;
    const error = backgroundFull(event.label, id, this.limits.maxQueued);
    const before = this.dropped.get(id) ?? 0;
    this.dropped.set(id, before + 1);
    if (before === 0) this.core.failures.report(event, callback, args, error, false);
    else this.core.failures.tell(event, callback, args, error, false);
  }

  /** Closing: the log has the first drop of each callback, and nothing will make room again. */
  tellOfDropped(): void {
    for (const [id, count] of this.dropped) {
      this.core.failures.logger.warn(`${count} deliveries to ${id} were dropped (EVENTS_BACKGROUND_FULL).`);
    }
    this.dropped.clear();
  }

  private recover({ id }: RegisteredCallback): void {
    const count = this.dropped.get(id);
    if (count === undefined) return;
    this.dropped.delete(id);
    this.core.failures.logger.warn(
      `The background has room again: ${count} deliveries to ${id} were dropped (EVENTS_BACKGROUND_FULL).`,
    );
  }
}

class BackgroundDelivery extends Deferred<void> {
  /** Keeps the caller's async context (request ids in logs, say), whoever makes room for this delivery. */
  private readonly context = new AsyncResource('NestCallbacksBackground');
  private readonly run = tracedRun();
  private hasBegun = false;

  constructor(
    private readonly work: BackgroundWork,
    private readonly callback: RegisteredCallback,
    private readonly event: RegisteredEvent,
    private readonly args: readonly unknown[],
    private readonly request: object | undefined,
  ) {
    super(work.core.inFlight);
  }

  get waitsFor(): string {
    return `${this.callback.id} (${this.hasBegun ? 'background' : 'background, not begun'})`;
  }

  begin(): void {
    this.hasBegun = true;
    // The transaction that the event was run in may still be open: it is not for what comes later.
    const work = () => outsideTransactions(() => asPartOf(this.run, () => this.perform()));
    void this.context.runInAsyncScope(work);
  }

  private async perform(): Promise<void> {
    try {
      const scope = scopeOf(this.work.core, this.event, this.args, this.request, false);
      await perform(this.callback, this.event, this.args, scope);
      this.succeed(undefined);
    } catch (error) {
      const { callback, event, args } = this;
      this.work.core.failures.report(event, callback, args, error, false);
      super.fail(error);
    } finally {
      this.work.release();
    }
  }

  /** Given up at shutdown, which logs that once for all; nobody else awaits it. */
  override fail(error: unknown): void {
    if (!this.isOver) this.work.core.failures.tell(this.event, this.callback, this.args, error, false);
    super.fail(error);
  }
}
