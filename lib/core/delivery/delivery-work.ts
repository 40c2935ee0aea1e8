import { detached } from '../async/detached.js';
import type { CallbackRegistry } from '../callbacks/callback-registry.js';
import { addressKey } from '../engine/address-name.js';
import { type AttemptHost, DeliveryAttempt } from './delivery-attempt.js';
import type { Declared, DeclaredCallbacks } from './declared-callbacks.js';
import type { RunningEngine } from './running-engine.js';

/** Has the engine perform deliveries on this instance, from when the application has started until it closes. */
export class DeliveryWork {
  private readonly worked = new Set<string>();
  /** Whether this instance performs deliveries. */
  isWorking = false;

  constructor(
    private readonly engine: RunningEngine,
    private readonly declared: DeclaredCallbacks,
    private readonly registry: CallbackRegistry,
    private readonly host: AttemptHost,
  ) {}

  /** Performs deliveries from now on: of the callbacks that are known now, and of those that come later. */
  start(): void {
    this.isWorking = true;
    this.declared.forEach((callback) => this.workOn(callback));
  }

  /** Takes no more deliveries. Closing waits until none can come. */
  stop(): void {
    this.isWorking = false;
    const engine = this.engine.current;
    if (!engine) return;
    const stopping = engine
      .stopWorking()
      .catch((error: unknown) => this.engine.report('The engine did not stop working', error));
    const waitsFor = () => `the engine ${engine.name}`;
    void this.host.inFlight.watch(waitsFor, stopping, () => {}).catch(() => {});
  }

  private workOn(callback: Declared): void {
    const address = addressKey(callback);
    if (!this.isWorking || callback.isRemote || this.worked.has(address)) return;
    const engine = this.engine.current;
    if (!engine) return;
    this.worked.add(address);
    engine.work(callback, (attempt) =>
      detached(() => {
        const { event, callback: registered } = this.registrationOf(callback);
        return new DeliveryAttempt(this.host, event, registered, attempt).perform();
      }),
    );
  }

  /** The registry makes its events anew when a module is loaded later, and forgets those that this one spoils. */
  private registrationOf({ callback: id, registered }: Declared): Declared['registered'] {
    const event = this.registry.find(registered.event.key);
    const callback = event?.durable.find((one) => one.id === id);
    return event && callback ? { event, callback } : registered;
  }
}
