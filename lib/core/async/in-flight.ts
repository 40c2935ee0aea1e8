import { setMaxListeners } from 'node:events';
import { handled, whenSettled } from './promises.js';

/** Work that somebody waits for: it ends, or is given up from outside. */
export interface Pending {
  /** Written by {@link InFlight} alone: its list is linked through its members, which costs a run the least. */
  previous: Pending | undefined;
  next: Pending | undefined;
  /** The name by which closing says what it waits for; `undefined` when something else in flight says it. */
  readonly waitsFor: string | undefined;
  fail(error: unknown): void;
}

/** Pending work with a promise of its end. */
export abstract class Deferred<T> implements Pending {
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;
  /** Whether it is settled, or given up: whatever arrives later changes nothing for the caller. */
  isOver = false;
  readonly promise: Promise<T>;
  private resolve!: (value: T) => void;
  private reject!: (error: unknown) => void;

  abstract readonly waitsFor: string | undefined;

  constructor(private readonly inFlight: InFlight) {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    inFlight.add(this);
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
    void handled(this.promise);
    this.reject(error);
  }

  private end(): void {
    this.isOver = true;
    this.inFlight.remove(this);
  }
}

/** A promise that somebody waits for, and closing the application with them. */
class Watched<T> extends Deferred<T> {
  constructor(
    inFlight: InFlight,
    private readonly name: () => string | undefined,
    work: PromiseLike<T>,
    onLateFailure: (error: unknown) => void,
  ) {
    super(inFlight);
    whenSettled(
      work,
      (value) => this.succeed(value),
      (error) => (this.isOver ? onLateFailure(error) : this.fail(error)),
    );
  }

  get waitsFor(): string | undefined {
    return this.name();
  }
}

/** Everything that an application waits for before it closes. */
export class InFlight {
  /** Whether the application has closed, so that nothing may begin any more. */
  isClosed = false;
  private latest: Pending | undefined;
  private onIdle: (() => void)[] = [];
  private gaveUpWith: object | undefined;
  private readonly abort = new AbortController();

  constructor() {
    // Callbacks that listen to it are not a leak, however many run at once.
    setMaxListeners(0, this.signal);
  }

  /** Aborts when the work in flight is given up. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }

  add(pending: Pending): void {
    const { latest } = this;
    pending.next = latest;
    if (latest !== undefined) latest.previous = pending;
    this.latest = pending;
  }

  remove(pending: Pending): void {
    const { previous, next } = pending;
    if (previous !== undefined) previous.next = next;
    else this.latest = next;
    if (next !== undefined) next.previous = previous;
    pending.previous = pending.next = undefined;
    if (this.latest === undefined && this.onIdle.length > 0) this.tellIdle();
  }

  private tellIdle(): void {
    for (const tell of this.onIdle.splice(0)) tell();
  }

  /** Tracks `work`. If it fails after it was given up, `onLateFailure` is told. */
  watch<T>(
    waitsFor: () => string | undefined,
    work: PromiseLike<T>,
    onLateFailure: (error: unknown) => void,
  ): Promise<T> {
    return new Watched(this, waitsFor, work, onLateFailure).promise;
  }

  /** Tracks `work` that consists of other work in flight: that is given up, and this ends with it. */
  follow<T>(work: Promise<T>): Promise<T> {
    const following: Pending = {
      previous: undefined,
      next: undefined,
      waitsFor: undefined,
      fail: () => end(),
    };
    let isOver = false;
    const end = () => {
      if (!isOver) this.remove(following);
      isOver = true;
    };
    this.add(following);
    whenSettled(work, end, end);
    return work;
  }

  get isIdle(): boolean {
    return this.latest === undefined;
  }

  /** Resolves when nothing is in flight. */
  whenIdle(): Promise<void> {
    return this.isIdle ? Promise.resolve() : this.whenNextIdle();
  }

  /** Resolves when nothing is in flight once something more has ended. */
  whenNextIdle(): Promise<void> {
    return new Promise((resolve) => this.onIdle.push(resolve));
  }

  /** The oldest first. */
  private get all(): Pending[] {
    const all: Pending[] = [];
    for (let at = this.latest; at; at = at.next) all.push(at);
    return all.reverse();
  }

  /** The names of all that is in flight, the oldest first; `(3 times)` behind a name that occurs so often. */
  get waitsFor(): string[] {
    const times = new Map<string, number>();
    for (const { waitsFor } of this.all) {
      if (waitsFor) times.set(waitsFor, (times.get(waitsFor) ?? 0) + 1);
    }
    return [...times].map(([name, count]) => (count > 1 ? `${name} (${count} times)` : name));
  }

  /** Whether closing the application has given up work: nothing that nobody waits for begins any more. */
  get hasGivenUp(): boolean {
    return this.gaveUpWith !== undefined;
  }

  /** Whether closing the application has rejected the work in flight with this error. */
  isGivenUpBy(error: unknown): boolean {
    return this.gaveUpWith !== undefined && this.gaveUpWith === error;
  }

  /** Rejects all that is in flight with `error`. What somebody begins in answer to that is in flight afterwards. */
  giveUp(error: object): void {
    this.gaveUpWith = error;
    this.abort.abort(error);
    for (const pending of this.all) pending.fail(error);
  }
}
