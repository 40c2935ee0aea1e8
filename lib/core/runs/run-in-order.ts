import { apart } from '../transactions/current-transaction.js';
import { callbackWatch } from '../reports/traces.js';
import type { EventsCore } from '../app/shutdown.js';
import { handled, type Pending } from '../async/in-flight.js';
import {
  call,
  callTraced,
  perform,
  type RegisteredCallback,
  type RegisteredEvent,
} from '../callbacks/registered-event.js';
import { type RunScope, scopeOf } from '../nest/instance-scope.js';
import type { Afterwards } from './after-inline.js';
import type { Transaction } from '../transactions/transaction.js';
import { awaitable, whenSettled } from '../async/promises.js';

const DONE = Promise.resolve();

/**
 * One `run()`: callback after callback, each awaited, until one fails; then what follows. It is synchronous until a
 * promise shows up, and chains by hand rather than with `await`: that is what lets closing the application reject it while a callback
 * hangs, at the price of an async function.
 *
 * Every run passes here, so this is written for V8, as `npm run bench` has shown to matter, each for a tenth of a run or
 * so: one class, all fields from the start, what is rare in methods of its own, a promise's `then` called on it.
 */
export class RunInOrder implements Pending {
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;
  private isOver = false;
  private position = 0;
  private isFollowing = false;
  private readonly scope: RunScope | undefined;
  private promise: Promise<void> = DONE;
  private resolve: (() => void) | undefined = undefined;
  private reject: ((error: unknown) => void) | undefined = undefined;
  private onValue: (() => void) | undefined = undefined;
  private onFailure: ((error: unknown) => void) | undefined = undefined;

  constructor(
    private readonly core: EventsCore,
    private readonly event: RegisteredEvent,
    private readonly args: readonly unknown[],
    private readonly request: object | undefined,
    private readonly transaction: Transaction | undefined,
    private readonly afterwards: Afterwards | undefined,
  ) {
    this.scope = scopeOf(core, event, args, request);
  }

  start(): Promise<void> {
    let waiting: PromiseLike<unknown> | undefined;
    try {
      waiting = this.advance();
    } catch (error) {
      return handled(Promise.reject(error));
    }
    if (waiting === undefined) return DONE;
    this.promise = new Promise<void>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.onValue = () => this.proceed();
    this.onFailure = (error) => this.recover(error);
    this.core.inFlight.add(this);
    whenSettled(waiting, this.onValue!, this.onFailure!);
    return this.promise;
  }

  get waitsFor(): string {
    return this.isFollowing ? this.afterwards!.waitsFor : this.current.id;
  }

  private get current(): RegisteredCallback {
    return this.event.inline[this.position - 1];
  }

  /** Calls the next callbacks up to one that must be waited for. Throws what stops the run. */
  private advance(): PromiseLike<unknown> | undefined {
    const { inline, background } = this.event;
    while (this.position < inline.length) {
      const waiting = this.attempt(inline[this.position++]);
      if (waiting !== undefined) return waiting;
    }
    if (this.afterwards !== undefined && !this.isFollowing) {
      this.isFollowing = true;
      return this.afterwards.begin(this.args, this.scope);
    }
    if (background.length > 0) this.core.background.start(this.event, this.args, this.request);
    return undefined;
  }

  private attempt(callback: RegisteredCallback): PromiseLike<unknown> | undefined {
    try {
      if (this.transaction !== undefined) return awaitable(this.within(this.transaction, callback));
      const result = callbackWatch.isOn ? this.traced(callback) : call(callback, this.args, this.scope);
      return awaitable(result);
    } catch (error) {
      this.hasFailed(callback, error);
      return undefined;
    }
  }

  private within(transaction: Transaction, callback: RegisteredCallback): unknown {
    const work = () =>
      this.core.outsideCalls.from(this.event, callback, () => perform(callback, this.event, this.args, this.scope));
    // What an optional one breaks must not break the transaction.
    return callback.isOptional ? apart(transaction, work) : work();
  }

  private traced(callback: RegisteredCallback): unknown {
    return callTraced(callback, this.event, this.args, this.scope);
  }

  /** Reports it; throws it on unless the callback is optional. */
  private hasFailed(callback: RegisteredCallback, error: unknown): void {
    // Given up at shutdown, and told so already, as was the run within it that now fails.
    if (this.isOver && this.core.inFlight.isGivenUpBy(error)) return;
    const stops = (!callback.isOptional || this.transaction?.parts.isBroken === true) && !this.isOver;
    this.core.failures.report(this.event, callback, this.args, error, stops);
    if (stops) throw error;
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
    if (waiting !== undefined) {
      whenSettled(waiting, this.onValue!, this.onFailure!);
    } else if (!this.isOver) {
      this.end();
      this.resolve!();
    }
  }

  private recover(error: unknown): void {
    if (this.isFollowing) {
      this.core.failures.refuse(this.event.label, error);
      this.fail(error);
      return;
    }
    try {
      this.hasFailed(this.current, error);
    } catch {
      this.fail(error);
      return;
    }
    this.proceed();
  }

  fail(error: unknown): void {
    if (this.isOver) return;
    this.end();
    // A caller that forgot to await it must not lose the process.
    void handled(this.promise);
    this.reject!(
      this.isFollowing && this.core.inFlight.isGivenUpBy(error) ? this.afterwards!.givenUpWith(error) : error,
    );
  }

  private end(): void {
    this.isOver = true;
    this.core.inFlight.remove(this);
  }
}
