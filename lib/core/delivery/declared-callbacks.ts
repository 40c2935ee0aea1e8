import type { CallbackRegistry } from '../callbacks/callback-registry.js';
import type { RegisteredDurable, RegisteredEvent } from '../callbacks/registered-event.js';
import { addressKey } from '../engine/address-name.js';
import type { DurableCallback, KnownAddress } from '../engine/delivery.js';
import type { DurableEngine } from '../engine/engine.js';
import { nearest } from '../errors/did-you-mean.js';
import { engineFailed, engineUnsuited, remoteOrder, startTimeout } from '../errors/delivery-errors.js';
import { NoAnswerError, within } from '../async/time-limits.js';
import { clearTimeout, setTimeout } from '../async/timers.js';
import type { CompleteOptions } from '../options/events.options.js';
import { bootWarnings, idleNotice } from './boot-warnings.js';
import type { RunningEngine } from './running-engine.js';

/** Whoever has started the application wonders. */
const NOTICE_AFTER_MS = 5_000;

/** A durable callback that the engine knows, and its registration when the engine was told. */
export interface Declared extends DurableCallback {
  readonly registered: { readonly event: RegisteredEvent; readonly callback: RegisteredDurable };
}

/** Tells the engine of the application's durable callbacks, before anything is stored for them. */
export class DeclaredCallbacks {
  private readonly declared = new Map<string, Promise<Declared>>();
  /** Events whose callbacks are all declared. An event never changes: the registry makes a new one instead. */
  private readonly readyEvents = new WeakSet<RegisteredEvent>();
  private readonly listeners: ((callback: Declared) => void)[] = [];
  /** What the engine is just doing for the application to start. */
  private step = 'start';

  constructor(
    readonly engine: RunningEngine,
    private readonly registry: CallbackRegistry,
    private readonly settings: Pick<CompleteOptions, 'startTimeout' | 'work'>,
  ) {}

  /**
   * Starts the engine with the application, if that has durable callbacks; and warns of what somebody should look into, of
   * the deliveries that were kept from before.
   *
   * @throws EVENTS_ENGINE_FAILED, EVENTS_ENGINE_UNSUITED
   */
  async boot(): Promise<void> {
    if (this.registry.durable.length === 0) return;
    const notice = setTimeout(() => this.engine.warn(this.waiting), NOTICE_AFTER_MS);
    try {
      await within(this.settings.startTimeout, this.openAndCount());
    } catch (error) {
      await this.engine.stop(0);
      throw error instanceof NoAnswerError
        ? startTimeout(this.engine.name, this.step, this.settings.startTimeout)
        : error;
    } finally {
      clearTimeout(notice);
    }
  }

  private async openAndCount(): Promise<void> {
    const engine = await this.open();
    this.step = 'count what it keeps';
    const counts = await engine.counts().catch((cause: unknown) => {
      throw engineFailed(engine.name, this.step, cause);
    });
    const isKnown = (address: { event: string; callback: string }) => this.declared.has(addressKey(address));
    for (const warning of bootWarnings(counts, isKnown)) this.engine.warn(warning);
    const idle = this.settings.work ? undefined : idleNotice(counts, isKnown);
    if (idle) this.engine.log(idle);
  }

  private get waiting(): string {
    const { engine, step, settings } = this;
    return `The application waits for the engine ${engine.name} to ${step}, up to ${settings.startTimeout} ms in all (startTimeout).`;
  }

  /**
   * The engine, once it knows all durable callbacks.
   *
   * @throws EVENTS_ENGINE_FAILED, EVENTS_ENGINE_UNSUITED, EVENTS_CLOSED
   */
  async open(): Promise<DurableEngine> {
    const engine = await this.engine.start();
    await this.declare(engine, this.registry.durable);
    return engine;
  }

  /**
   * The engine, once it knows the durable callbacks of an event.
   *
   * @throws EVENTS_ENGINE_FAILED, EVENTS_ENGINE_UNSUITED, EVENTS_CLOSED
   */
  ready(event: RegisteredEvent): DurableEngine | Promise<DurableEngine> {
    return this.engine.current && this.readyEvents.has(event) ? this.engine.current : this.prepare(event);
  }

  /** Calls back for each callback that the engine knows, and later for each that it learns of. */
  forEach(listener: (callback: Declared) => void): void {
    this.listeners.push(listener);
    for (const declared of this.declared.values()) void declared.then(listener, () => {});
  }

  private async prepare(event: RegisteredEvent): Promise<DurableEngine> {
    const engine = await this.engine.start();
    await this.declare(engine, [event]);
    this.readyEvents.add(event);
    return engine;
  }

  private async declare(engine: DurableEngine, events: readonly RegisteredEvent[]): Promise<void> {
    const callbacks = events.flatMap((event) => event.durable.map((callback) => describe(event, callback)));
    const fresh = callbacks.filter((callback) => !this.declared.has(addressKey(callback)));
    if (fresh.length > 0) this.note(fresh, this.tell(engine, fresh));
    await Promise.all(callbacks.map((callback) => this.declared.get(addressKey(callback))!));
  }

  /** Whoever asks for them meanwhile waits for the same answer. One that failed is asked for again. */
  private note(fresh: readonly Declared[], declaring: Promise<void>): void {
    for (const callback of fresh) {
      const declared = declaring.then(() => callback);
      this.declared.set(addressKey(callback), declared);
      declared.then(
        () => this.listeners.forEach((listener) => listener(callback)),
        () => this.declared.delete(addressKey(callback)),
      );
    }
  }

  /** Compares what was said of other applications' callbacks with what those have told the store. */
  private async checkRemote(engine: DurableEngine, callbacks: readonly Declared[]): Promise<void> {
    const all = await engine.addresses().catch((cause: unknown) => {
      throw engineFailed(engine.name, 'tell which callbacks other applications have', cause);
    });
    // What another has named by the same mistake says nothing.
    const known = all.filter(({ isRemote }) => !isRemote);
    for (const { event, callback, isOrdered } of callbacks.filter(({ isRemote }) => isRemote)) {
      const found = known.filter((one) => one.event === event && one.callback === callback);
      if (found.length === 0) {
        const ofEvent = known.filter((one) => one.event === event);
        const near = nearestTo(callback, ofEvent) ?? nearestTo(callback, known);
        this.engine.warn(
          `No application has told this store yet that it has ${callback} for "${event}", which remote names` +
            `${near ? `. Did you mean "${near}"?` : ': what is stored for it waits until one does.'}`,
        );
      } else if (!found.some((one) => one.isOrdered === isOrdered)) throw remoteOrder(event, callback, isOrdered);
    }
  }

  private refuseLimits({ name, capabilities }: DurableEngine, callbacks: readonly Declared[]): void {
    for (const { callback, limits } of callbacks) {
      if (limits && !capabilities.limits) throw engineUnsuited(name, callback, 'limits');
      if (limits?.groups && !capabilities.groups) throw engineUnsuited(name, callback, 'limits.groupBy');
    }
  }

  private async tell(engine: DurableEngine, callbacks: readonly Declared[]): Promise<void> {
    if (callbacks.some(({ isRemote }) => isRemote)) await this.checkRemote(engine, callbacks);
    const unordered = engine.capabilities.order ? undefined : callbacks.find(({ isOrdered }) => isOrdered);
    if (unordered) throw engineUnsuited(engine.name, unordered.callback, 'ordered: true');
    this.refuseLimits(engine, callbacks);
    const step = (this.step = `make room for ${callbacks.map(({ callback }) => callback).join(', ')}`);
    try {
      await engine.declare(callbacks);
    } catch (cause) {
      throw engineFailed(engine.name, step, cause);
    }
  }
}

/** The one among those that somebody knows whose id is the nearest. */
const nearestTo = (id: string, known: readonly KnownAddress[]) =>
  nearest(
    id,
    known.map(({ callback }) => callback),
  );

const describe = (event: RegisteredEvent, callback: RegisteredDurable): Declared => ({
  event: event.label,
  callback: callback.id,
  formerly: callback.durable.formerly,
  isOrdered: callback.durable.isOrdered,
  concurrency: callback.durable.concurrency,
  ...(callback.durable.limits && { limits: callback.durable.limits }),
  isRemote: callback.durable.isRemote,
  registered: { event, callback },
});
