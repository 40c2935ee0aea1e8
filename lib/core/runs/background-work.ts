import { setImmediate } from '../async/timers.js';
import { AsyncResource } from 'node:async_hooks';
import { asPartOf, tracedRun } from '../reports/traces.js';
import type { EventsError, EventsErrorCode } from '../errors/events-error.js';
import { backgroundFull, backgroundGivenUp } from '../errors/run-errors.js';
import type { CompleteOptions } from '../options/events.options.js';
import type { Failure, Failures } from '../reports/failures.js';
import { Deferred, type InFlight } from '../async/in-flight.js';
import { callAndTrace } from '../callbacks/call.js';
import type { RegisteredCallback, RegisteredEvent } from '../callbacks/registered-event.js';
import { type About, describeRun, withCurrentEvent } from '../callbacks/current-event.js';
import { inPropagated } from '../delivery/propagation.js';
import type { Propagator } from '../options/propagator.options.js';
import { InstanceScope } from '../nest/instance-scope.js';
import { isInTransaction, outsideTransactions } from '../transactions/current-transaction.js';

/** Calls background callbacks, which nobody waits for: at most so many at once, in the order in which they came. */
export class BackgroundWork {
  private queue: BackgroundDelivery[] = [];
  private taken = 0;
  private running = 0;
  private isScheduled = false;
  private readonly dropped = new Map<string, Dropped>();
  private isTelling = false;

  constructor(
    private readonly limits: CompleteOptions['background'],
    readonly inFlight: InFlight,
    readonly failures: Failures,
    readonly propagators: readonly Propagator[],
  ) {}

  /** Starts all background callbacks of a run, after the code that called `run()` had its turn. */
  start(event: RegisteredEvent, args: readonly unknown[], about: About): void {
    for (const callback of event.background) this.accept(callback, event, args, about);
  }

  accept(callback: RegisteredCallback, event: RegisteredEvent, args: readonly unknown[], about: About): void {
    const { concurrency, maxQueued } = this.limits;
    if (this.inFlight.hasGivenUp) {
      this.drop({ callback, event, args, error: backgroundGivenUp(event.label, callback.id) });
      return;
    }
    if (this.running + this.queue.length - this.taken >= concurrency + maxQueued) {
      this.drop({ callback, event, args, error: backgroundFull(event.label, callback.id, maxQueued) });
      return;
    }
    this.recover(callback);
    this.queue.push(new BackgroundDelivery(this, { callback, event, args, about }));
    this.schedule();
  }

  /** Makes room for the next, as a delivery has ended. */
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

  /**
   * `onError` learns of every delivery that is dropped for want of room; the log of the first, and of how many when there is
   * room again. Of those that `onError` itself has caused, and of those that come once the work is given up, it learns of the
   * first of each callback: there would be no end.
   */
  private drop(failure: Failure & { readonly error: EventsError }): void {
    const { id } = failure.callback;
    const { code } = failure.error;
    const before = this.dropped.get(id)?.count ?? 0;
    this.dropped.set(id, { count: before + 1, code });
    if (before === 0) this.failures.log('error', '', failure.error);
    if (before > 0 && (this.isTelling || this.inFlight.hasGivenUp)) return;
    const isWithin = this.isTelling;
    this.isTelling = true;
    this.failures.tell(failure);
    this.isTelling = isWithin;
  }

  /**
   * Says at closing how many deliveries were dropped: the log has the first of each callback, and nothing will make room
   * again.
   */
  tellOfDropped(): void {
    for (const [id, { count, code }] of this.dropped) {
      this.failures.logger.warn(`${count} deliveries to ${id} were dropped (${code}).`);
    }
    this.dropped.clear();
  }

  private recover({ id }: RegisteredCallback): void {
    const dropped = this.dropped.get(id);
    if (!dropped) return;
    this.dropped.delete(id);
    this.failures.logger.warn(
      `The background has room again: ${dropped.count} deliveries to ${id} were dropped (EVENTS_BACKGROUND_FULL).`,
    );
  }
}

/** How many deliveries to a callback were dropped, and why. */
interface Dropped {
  readonly count: number;
  readonly code: EventsErrorCode;
}

/** A call of a background callback. */
interface BackgroundCall {
  readonly callback: RegisteredCallback;
  readonly event: RegisteredEvent;
  readonly args: readonly unknown[];
  readonly about: About;
}

class BackgroundDelivery extends Deferred<void> {
  /** Keeps the caller's async context (request ids in logs, say), whoever makes room for this delivery. */
  private readonly context = new AsyncResource('NestCallbacksBackground');
  private readonly run = tracedRun();
  private hasBegun = false;

  constructor(
    private readonly work: BackgroundWork,
    private readonly of: BackgroundCall,
  ) {
    super(work.inFlight);
  }

  get waitsFor(): string {
    return `${this.of.callback.id} (${this.hasBegun ? 'background' : 'background, not begun'})`;
  }

  begin(): void {
    this.hasBegun = true;
    // The transaction that the event was run in may still be open: it is not for what comes later.
    const work = () => {
      // Outside of it is the async context of whoever has opened it.
      const propagators = isInTransaction() ? this.work.propagators : [];
      return outsideTransactions(() => asPartOf(this.run, () => this.call(propagators)));
    };
    void this.context.runInAsyncScope(work);
  }

  private async call(propagators: readonly Propagator[]): Promise<void> {
    const { callback, event, args, about } = this.of;
    const { inFlight, failures } = this.work;
    const since = failures.handedOver;
    try {
      const current = describeRun(inFlight, event, args, about);
      await inPropagated(propagators, about, async () => {
        // Not of the HTTP request, which it may outlive.
        const scope = event.isScoped ? new InstanceScope(current, false) : undefined;
        await withCurrentEvent(current, () => callAndTrace(callback, event, args, scope));
      });
      this.succeed(undefined);
    } catch (error) {
      failures.report({ event, callback, args, error }, since);
      super.fail(error);
    } finally {
      this.work.release();
    }
  }

  /** Gives it up at shutdown, which logs that once for all; nobody else awaits it. */
  override fail(error: unknown): void {
    const { event, callback, args } = this.of;
    if (!this.isOver) this.work.failures.tell({ event, callback, args, error });
    super.fail(error);
  }
}
