import { AsyncResource } from 'node:async_hooks';
import { atMost } from '../async/at-most.js';
import { addressKey } from '../callbacks/unique-addresses.js';
import { DeliveryAttempt } from './delivery-attempt.js';
import { engineClosed, engineFailed, engineInvalid, engineUnsuited } from '../errors/delivery-errors.js';
import type { DurableCallback, DurableEngine, EngineHost } from '../engine/engine.js';
import type { EventsCore } from '../app/shutdown.js';
import { keptFromBefore } from './boot-warnings.js';
import type { RegisteredCallback, RegisteredEvent } from '../callbacks/registered-event.js';
import { SafeLogger } from '../reports/safe-logger.js';

/** How long closing waits for what the engine still has to write down, and then for its connections to end. */
const LAST_WORDS_MS = 2_000;

/** A durable callback that the engine knows, and what it was when that was told. */
interface Declared extends DurableCallback {
  readonly registered: readonly [RegisteredEvent, RegisteredCallback];
}

/** The engine of one application: when it starts, what it is told of the callbacks, when they work, and when it stops. */
export class EngineLifecycle implements EngineHost {
  private readonly logger = new SafeLogger('EventsModule');
  private engine: DurableEngine | undefined;
  private known: DurableEngine | undefined;
  private starting: Promise<DurableEngine> | undefined;
  private readonly declared = new Map<string, Promise<Declared>>();
  /** Those whose callbacks are all declared: they never change. */
  private readonly readyEvents = new WeakSet<RegisteredEvent>();
  private readonly worked = new Set<string>();
  private hasStopped = false;
  /** Whether this instance performs deliveries. */
  isWorking = false;
  private readonly settling = new Set<Promise<unknown>>();
  /** An attempt is nobody's doing: it must not see the async context of the one before it, nor of a connection. */
  private readonly root = new AsyncResource('NestCallbacksDurable');

  constructor(private readonly core: EventsCore) {}

  log = (message: string) => this.logger.log(message);
  warn = (message: string) => this.logger.warn(message);
  report = (what: string, error: unknown) => this.core.failures.log('error', what, error);

  /**
   * Starts the engine with the application, if that has durable callbacks; and says what somebody should look into, of
   * what was kept from before.
   *
   * @throws EVENTS_ENGINE_FAILED, EVENTS_ENGINE_UNSUITED
   */
  async boot(): Promise<void> {
    if (this.core.registry.durable.length === 0) return;
    try {
      const engine = await this.open();
      const counts = await engine.counts().catch((cause: unknown) => {
        throw engineFailed(engine.name, 'count what it keeps', cause);
      });
      for (const warning of keptFromBefore(counts, (one) => this.declared.has(addressKey(one)))) this.warn(warning);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /**
   * The engine, once it knows all durable callbacks.
   *
   * @throws EVENTS_ENGINE_FAILED, EVENTS_ENGINE_UNSUITED, EVENTS_CLOSED
   */
  async open(): Promise<DurableEngine> {
    const engine = await this.start();
    await this.declare(engine, this.core.registry.durable);
    return engine;
  }

  /** The registry makes its events anew when a module is loaded later, and forgets those that this one spoils. */
  private current({ callback, registered }: Declared): Declared['registered'] {
    const event = this.core.registry.find(registered[0].key);
    const found = event?.durable.find(({ id }) => id === callback);
    return event && found ? [event, found] : registered;
  }

  /**
   * The engine, once it knows the durable callbacks of an event.
   *
   * @throws EVENTS_ENGINE_FAILED, EVENTS_ENGINE_UNSUITED, EVENTS_CLOSED
   */
  ready(event: RegisteredEvent): DurableEngine | Promise<DurableEngine> {
    return this.engine && this.readyEvents.has(event) ? this.engine : this.prepare(event);
  }

  private async prepare(event: RegisteredEvent): Promise<DurableEngine> {
    const engine = await this.start();
    await this.declare(engine, [event]);
    this.readyEvents.add(event);
    return engine;
  }

  private async start(): Promise<DurableEngine> {
    if (this.hasStopped) throw engineClosed();
    return (this.starting ??= this.create().catch((error: unknown) => {
      this.starting = undefined;
      throw error;
    }));
  }

  /** Whether deliveries can be stored in a transaction; if not, they are when it has committed. */
  get takesTransactions(): boolean {
    return this.kind.capabilities.transactions;
  }

  /** As messages name it. */
  get name(): string {
    return this.kind.name;
  }

  /** What is known of the engine before it starts. */
  private get kind(): Pick<DurableEngine, 'name' | 'capabilities'> {
    return this.engine ?? (this.known ??= this.make());
  }

  /** From now on this instance performs deliveries: of the callbacks known now, and of those that come later. */
  work(): void {
    if (!this.core.options.work) return;
    this.isWorking = true;
    for (const declared of this.declared.values()) {
      declared.then(
        (callback) => this.workOn(callback),
        () => {},
      );
    }
  }

  /** Takes no more deliveries; closing waits until none can come. */
  stopWorking(): void {
    this.isWorking = false;
    const { engine } = this;
    if (!engine) return;
    const stopping = engine
      .stopWorking()
      .catch((error: unknown) => this.report('The engine did not stop working', error));
    const waitsFor = () => `the engine ${engine.name}`;
    void this.core.inFlight.watch(waitsFor, stopping, () => {}).catch(() => {});
  }

  /** Has closing wait for something that the engine writes down. Reports a failure to do so, and answers `undefined`. */
  settle<T>(settlement: Promise<T>): Promise<T | undefined> {
    const settled = settlement.catch((error: unknown) => {
      this.report('The engine could not record how a delivery ended, so it may run again', error);
      return undefined;
    });
    this.settling.add(settled);
    void settled.then(() => this.settling.delete(settled));
    return settled;
  }

  /** Resolves when all that attempts had to say is written down, or soon after. */
  flush(): Promise<void> {
    return atMost(LAST_WORDS_MS, Promise.all(this.settling));
  }

  async stop(): Promise<void> {
    this.hasStopped = true;
    const { engine } = this;
    if (!engine) return;
    this.engine = undefined;
    const stopping = engine
      .stop()
      .catch((error: unknown) => this.report(`The engine ${engine.name} did not stop`, error));
    await atMost(LAST_WORDS_MS, stopping);
  }

  private async create(): Promise<DurableEngine> {
    const engine = this.known ?? this.make();
    this.known = undefined;
    try {
      await engine.start(this);
    } catch (cause) {
      await engine.stop().catch(() => {});
      throw engineFailed(engine.name, 'start', cause);
    }
    this.engine = engine;
    return engine;
  }

  private make(): DurableEngine {
    try {
      return this.core.options.engine!();
    } catch (cause) {
      throw engineInvalid(cause);
    }
  }

  private async declare(engine: DurableEngine, events: readonly RegisteredEvent[]): Promise<void> {
    const callbacks = events.flatMap((event) => event.durable.map((callback) => describe(event, callback)));
    const fresh = callbacks.filter((callback) => !this.declared.has(addressKey(callback)));
    if (fresh.length > 0) {
      const declaring = this.declareFresh(engine, fresh);
      for (const callback of fresh) {
        const declared = declaring.then(() => callback);
        this.declared.set(addressKey(callback), declared);
        declared.then(
          () => this.isWorking && this.workOn(callback),
          () => this.declared.delete(addressKey(callback)),
        );
      }
    }
    await Promise.all(callbacks.map((callback) => this.declared.get(addressKey(callback))!));
  }

  private async declareFresh(engine: DurableEngine, callbacks: readonly Declared[]): Promise<void> {
    const unordered = engine.capabilities.order ? undefined : callbacks.find(({ isOrdered }) => isOrdered);
    if (unordered) throw engineUnsuited(engine.name, unordered.callback, 'ordered: true');
    try {
      await engine.declare(callbacks);
    } catch (cause) {
      throw engineFailed(engine.name, `make room for ${callbacks.map(({ callback }) => callback).join(', ')}`, cause);
    }
  }

  private workOn(callback: Declared): void {
    const name = addressKey(callback);
    if (!this.engine || this.worked.has(name)) return;
    this.worked.add(name);
    this.engine.work(callback, (attempt) =>
      this.root.runInAsyncScope(() => {
        const [event, registered] = this.current(callback);
        return new DeliveryAttempt(this.core, event, registered, attempt).perform();
      }),
    );
  }
}

const describe = (event: RegisteredEvent, callback: RegisteredCallback): Declared => ({
  event: event.label,
  callback: callback.id,
  formerly: callback.durable!.formerly,
  isOrdered: callback.durable!.isOrdered,
  concurrency: callback.durable!.concurrency,
  registered: [event, callback],
});
