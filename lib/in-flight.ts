const ignore = () => {};

/** A promise that is fulfilled already, for all to share. */
export const DONE: Promise<any> = Promise.resolve();

/** Work that somebody waits for: it can be settled by its end, or be given up from outside. */
export abstract class Pending<T> {
  // All have a value from the start: V8 then keeps them in the object itself.
  /** @internal The list of {@link InFlight}; a linked one costs a run the least. */
  previous: Pending<any> | undefined = undefined;
  /** @internal */
  next: Pending<any> | undefined = undefined;
  /** Settled or given up: whatever arrives later changes nothing for the caller. */
  isOver = false;
  promise: Promise<T> = DONE;
  private resolve: (value: T) => void = ignore;
  private reject: (error: unknown) => void = ignore;

  /** What is being waited for, by name; `undefined` when something else in flight says it. */
  abstract readonly waitsFor: string | undefined;

  constructor(private readonly inFlight: InFlight) {}

  /** From here on `promise` exists, and closing the application waits for it. */
  protected track(): void {
    this.promise = new Promise<T>(capture);
    this.resolve = captured.resolve;
    this.reject = captured.reject;
    this.inFlight.add(this);
  }

  protected succeed(value: T): void {
    if (this.isOver) return;
    this.end();
    this.resolve(value);
  }

  /** Counts as handled: a caller that forgot to await it must not lose the process. */
  fail(error: unknown): void {
    if (this.isOver) return;
    this.end();
    this.promise.catch(ignore);
    this.reject(error);
  }

  private end(): void {
    this.isOver = true;
    this.inFlight.remove(this);
  }
}

/** A promise that somebody waits for, and closing the application with them. */
class Watched<T> extends Pending<T> {
  constructor(
    inFlight: InFlight,
    private readonly name: () => string | undefined,
    work: PromiseLike<T>,
    onLateFailure: (error: unknown) => void,
  ) {
    super(inFlight);
    this.track();
    Promise.resolve(work).then(
      (value) => this.succeed(value),
      (error) => (this.isOver ? onLateFailure(error) : this.fail(error)),
    );
  }

  get waitsFor(): string | undefined {
    return this.name();
  }
}

/** All that an application waits for before it closes. */
export class InFlight {
  private first: Pending<any> | undefined;
  private last: Pending<any> | undefined;
  private onIdle: (() => void)[] = [];
  private gaveUpWith: object | undefined;

  add(pending: Pending<any>): void {
    pending.previous = this.last;
    if (this.last) this.last.next = pending;
    else this.first = pending;
    this.last = pending;
  }

  remove(pending: Pending<any>): void {
    const { previous, next } = pending;
    if (previous) previous.next = next;
    else this.first = next;
    if (next) next.previous = previous;
    else this.last = previous;
    pending.previous = pending.next = undefined;
    if (!this.first && this.onIdle.length > 0) for (const tell of this.onIdle.splice(0)) tell();
  }

  /** Tracks `work`; what it fails with after it was given up goes to `onLateFailure`. */
  watch<T>(
    waitsFor: () => string | undefined,
    work: PromiseLike<T>,
    onLateFailure: (error: unknown) => void,
  ): Promise<T> {
    return new Watched(this, waitsFor, work, onLateFailure).promise;
  }

  get isIdle(): boolean {
    return !this.first;
  }

  /** Resolves when nothing is in flight. */
  whenIdle(): Promise<void> {
    return this.isIdle ? Promise.resolve() : new Promise((resolve) => this.onIdle.push(resolve));
  }

  /** What is being waited for, by name, the oldest first; `(3 times)` behind a name that occurs so often. */
  get waitsFor(): string[] {
    const times = new Map<string, number>();
    for (let at = this.first; at; at = at.next) {
      const name = at.waitsFor;
      if (name) times.set(name, (times.get(name) ?? 0) + 1);
    }
    return [...times].map(([name, count]) => (count > 1 ? `${name} (${count} times)` : name));
  }

  /** Whether this is what closing the application rejected the rest with. */
  isGivenUpBy(error: unknown): boolean {
    return this.gaveUpWith !== undefined && this.gaveUpWith === error;
  }

  /** Rejects all that is in flight with `error`. */
  giveUp(error: object): void {
    this.gaveUpWith = error;
    while (this.first) this.first.fail(error);
  }
}

/** Marks a promise as handled, so that a caller who forgot to await it does not lose the process. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(ignore);
  return promise;
}

// One executor for all promises, instead of a closure for each.
const captured = { resolve: undefined as any, reject: undefined as any };
const capture = (resolve: unknown, reject: unknown) => {
  captured.resolve = resolve;
  captured.reject = reject;
};
