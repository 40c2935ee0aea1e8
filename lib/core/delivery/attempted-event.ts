import { LazyAbort } from '../async/lazy-abort.js';
import type { EngineAttempt } from '../engine/engine-attempt.js';
import { type EventHeaders, NO_HEADERS } from '../events/event-headers.js';
import { shownId } from './given-id.js';
import type { CurrentDelivery, CurrentEvent } from '../callbacks/current-event.js';

/** Tells a callback that its attempt is broken off: its time is over, its claim is lost, or the application gives it up. */
export class AttemptSignal {
  private readonly abortion = new LazyAbort();
  /** Absent until somebody asks for the signal. */
  private disconnect: (() => void) | undefined;

  /** @param claim aborts when the claim on the delivery is lost */
  constructor(private readonly claim: () => AbortSignal) {}

  get isAborted(): boolean {
    return this.abortion.isAborted;
  }

  get reason(): unknown {
    return this.abortion.reason;
  }

  /** The signal itself. A lost claim matters only once somebody asks for this. */
  get signal(): AbortSignal {
    if (!this.disconnect) this.connect();
    return this.abortion.signal;
  }

  abort(reason: unknown): void {
    this.abortion.abort(reason);
  }

  /** The attempt has ended: its claim matters no more. */
  end(): void {
    this.disconnect?.();
  }

  private connect(): void {
    const claim = this.claim();
    const whenLost = () => this.abort(claim.reason);
    this.disconnect = () => claim.removeEventListener('abort', whenLost);
    if (claim.aborted) whenLost();
    else claim.addEventListener('abort', whenLost);
  }
}

/** The event of a durable attempt, as `currentEvent()` shows it. Its signal is made when the callback asks for it. */
export class AttemptedEvent implements CurrentEvent {
  readonly arguments: readonly unknown[];
  readonly headers: EventHeaders;
  readonly delivery: CurrentDelivery;
  readonly #signal: AttemptSignal;

  constructor(
    readonly event: CurrentEvent['event'],
    args: readonly unknown[],
    { attempt, delivery }: EngineAttempt,
    completeIn: CurrentDelivery['completeIn'],
    signal: AttemptSignal,
  ) {
    const { key, headers = NO_HEADERS } = delivery;
    this.arguments = args;
    this.headers = Object.freeze(headers);
    this.delivery = Object.freeze({ id: shownId(delivery), attempt, ...(key !== undefined && { key }), completeIn });
    this.#signal = signal;
    Object.freeze(this);
  }

  get signal(): AbortSignal {
    return this.#signal.signal;
  }
}
