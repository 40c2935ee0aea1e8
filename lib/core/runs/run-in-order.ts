import type { Pending } from '../async/in-flight.js';
import { awaitable, handled, whenSettled } from '../async/promises.js';
import { call, callAndTrace, callTraced } from '../callbacks/call.js';
import { type About, scopeOf } from '../callbacks/current-event.js';
import type { RegisteredCallback, RegisteredEvent } from '../callbacks/registered-event.js';
import { NO_HEADERS } from '../events/event-headers.js';
import type { InstanceScope } from '../nest/instance-scope.js';
import { callbackWatch } from '../reports/traces.js';
import { inSavepoint } from '../transactions/current-transaction.js';
import type { Transaction } from '../transactions/transaction.js';
import type { AfterInline } from './after-inline.js';
import type { Runtime } from './runtime.js';

const DONE = Promise.resolve();

/** The surroundings of a run. Most runs have none. */
export interface Around extends About {
  readonly transaction: Transaction | undefined;
  readonly afterInline: AfterInline | undefined;
}

/** The surroundings of a run that has none. */
export const NOTHING_AROUND: Around = {
  headers: NO_HEADERS,
  request: undefined,
  transaction: undefined,
  afterInline: undefined,
};

/** The part of its surroundings that a run leaves to what goes on after it: its transaction may have ended by then. */
export const aboutOf = (around: Around): About =>
  around.transaction === undefined ? around : { headers: around.headers, request: around.request };

/**
 * One `run()`: calls callback after callback, each awaited, until one fails; then does what follows. It is synchronous
 * until a promise shows up, and chains by hand rather than with `await`. That lets closing the application reject it while
 * a callback hangs, at the price of an async function.
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
  private readonly transaction: Transaction | undefined;
  private readonly afterInline: AfterInline | undefined;
  private readonly scope: InstanceScope | undefined;
  private readonly since: number;
  private promise: Promise<void> = DONE;
  private resolve: (() => void) | undefined = undefined;
  private reject: ((error: unknown) => void) | undefined = undefined;
  private onValue: (() => void) | undefined = undefined;
  private onFailure: ((error: unknown) => void) | undefined = undefined;

  constructor(
    private readonly runtime: Runtime,
    private readonly event: RegisteredEvent,
    private readonly args: readonly unknown[],
    private readonly around: Around,
  ) {
    this.since = runtime.failures.handedOver;
    this.transaction = around.transaction;
    this.afterInline = around.afterInline;
    this.scope = scopeOf(runtime.inFlight, event, args, around);
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
    this.runtime.inFlight.add(this);
    whenSettled(waiting, this.onValue, this.onFailure);
    return this.promise;
  }

  get waitsFor(): string {
    return this.isFollowing ? this.afterInline!.waitsFor : this.current.id;
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
    if (this.afterInline !== undefined && !this.isFollowing) {
      this.isFollowing = true;
      return this.afterInline.begin(this.args, this.scope);
    }
    if (background.length > 0) this.runtime.background.start(this.event, this.args, aboutOf(this.around));
    return undefined;
  }

  private attempt(callback: RegisteredCallback): PromiseLike<unknown> | undefined {
    try {
      if (this.transaction !== undefined) return awaitable(this.within(this.transaction, callback));
      const result = callbackWatch.isOn ? this.traced(callback) : call(callback, this.args, this.scope);
      return awaitable(result);
    } catch (error) {
      this.reportOrThrow(callback, error);
      return undefined;
    }
  }

  private within(transaction: Transaction, callback: RegisteredCallback): unknown {
    const { event, args, scope } = this;
    const work = () =>
      this.runtime.outsideCalls.from(event, callback, () => callAndTrace(callback, event, args, scope));
    // A failure of an optional one must not break the transaction.
    return callback.isOptional ? inSavepoint(transaction, work) : work();
  }

  private traced(callback: RegisteredCallback): unknown {
    return callTraced(callback, this.event, this.args, this.scope);
  }

  /** Reports the failure of a callback, and throws it on unless the callback is optional. */
  private reportOrThrow(callback: RegisteredCallback, error: unknown): void {
    // Given up at shutdown, and told so already, as was the run within it that now fails.
    if (this.isOver && this.runtime.inFlight.isGivenUpBy(error)) return;
    const stops = (!callback.isOptional || this.transaction?.savepoints.isBroken === true) && !this.isOver;
    const { event, args, since } = this;
    const { failures } = this.runtime;
    failures.report({ event, callback, args, error, reachesCaller: stops }, since);
    if (!stops) return;
    failures.handOver(error);
    throw error;
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
      this.runtime.failures.refuse(this.event.label, error);
      this.fail(error);
      return;
    }
    try {
      this.reportOrThrow(this.current, error);
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
    const isDoubtful = this.isFollowing && this.runtime.inFlight.isGivenUpBy(error);
    this.reject!(isDoubtful ? this.afterInline!.givenUpWith(error) : error);
  }

  private end(): void {
    this.isOver = true;
    this.runtime.inFlight.remove(this);
  }
}
