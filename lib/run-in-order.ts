import { callbackWatch } from './diagnostics.js';
import type { EventsCore } from './events-core.js';
import { DONE, handled, Pending } from './in-flight.js';
import { call, callTraced, type RegisteredCallback, type RegisteredEvent } from './registered-event.js';
import { type RunScope, scopeOfRun } from './run-scope.js';
import { awaitable } from './thenable.js';

const { then } = Promise.prototype;

/**
 * One `run()`: callback after callback, each awaited, until one fails. It is synchronous until a promise shows up,
 * and chains by hand rather than with `await`: that is what lets closing the application reject it while a callback
 * hangs, at the price of an async function.
 */
export class RunInOrder extends Pending<void> {
  private position = 0;
  private onValue: (() => void) | undefined = undefined;
  private onFailure: ((error: unknown) => void) | undefined = undefined;

  private readonly scope: RunScope | undefined;

  constructor(
    private readonly core: EventsCore,
    private readonly event: RegisteredEvent,
    private readonly args: readonly unknown[],
    private readonly request: object | undefined,
  ) {
    super(core.inFlight);
    this.scope = scopeOfRun(core, event, args, request);
  }

  start(): Promise<void> {
    let waiting: PromiseLike<unknown> | undefined;
    try {
      waiting = this.advance();
    } catch (error) {
      return handled(Promise.reject(error));
    }
    if (!waiting) return DONE;
    this.track();
    this.onValue = () => this.proceed();
    this.onFailure = (error) => this.recover(error);
    this.waitFor(waiting);
    return this.promise;
  }

  get waitsFor(): string {
    return this.current.id;
  }

  private get current(): RegisteredCallback {
    return this.event.inline[this.position - 1];
  }

  /** Calls the next callbacks up to one that must be waited for. Throws what stops the run. */
  private advance(): PromiseLike<unknown> | undefined {
    const { inline } = this.event;
    while (this.position < inline.length) {
      const callback = inline[this.position++];
      try {
        const result = callbackWatch.isOn
          ? callTraced(callback, this.event, this.args, this.scope)
          : call(callback, this.args, this.scope);
        const waiting = awaitable(result);
        if (waiting) return waiting;
      } catch (error) {
        this.hasFailed(callback, error);
      }
    }
    if (this.event.background.length > 0) this.core.background.start(this.event, this.args, this.request);
    return undefined;
  }

  /** Reports it; throws it on unless the callback is optional. */
  private hasFailed(callback: RegisteredCallback, error: unknown): void {
    // Given up at shutdown, and told so already, as was the run within it that now fails.
    if (this.isOver && this.core.inFlight.isGivenUpBy(error)) return;
    const stops = !callback.isOptional && !this.isOver;
    this.core.failures.report(this.event, callback, this.args, error, stops);
    if (stops) throw error;
  }

  private waitFor(result: PromiseLike<unknown>): void {
    // As `await` does: a promise around a foreign thenable settles once, and a promise's own `then` is not asked.
    // A usual promise is asked directly, which V8 can inline: a tenth of a run.
    const usual = result as Promise<unknown>;
    if (usual.constructor === Promise && usual.then === then) void usual.then(this.onValue, this.onFailure);
    else void then.call(Promise.resolve(result), this.onValue, this.onFailure);
  }

  private proceed(): void {
    if (this.isOver) return;
    let waiting: PromiseLike<unknown> | undefined;
    try {
      waiting = this.advance();
    } catch (error) {
      this.fail(error);
      return;
    }
    if (waiting) this.waitFor(waiting);
    else this.succeed(undefined);
  }

  private recover(error: unknown): void {
    try {
      this.hasFailed(this.current, error);
    } catch {
      this.fail(error);
      return;
    }
    this.proceed();
  }
}
