import { tracingChannel } from 'node:diagnostics_channel';
import type { CallbackTrace, DeliveryMode, EventHeaders, EventKey, RunTrace } from '../index.js';

/** One run of an event. */
export interface RecordedRun<Args extends readonly unknown[] = readonly unknown[]> {
  /** The event's name, or its class's name. */
  readonly event: string;
  /** The arguments as callbacks get them; if the run was refused, as they were passed. */
  readonly arguments: Args;
  /** What travels with it to its callbacks: given headers, those of the chain, and those of propagators. */
  readonly headers: EventHeaders;
  /** How the inline callbacks and the storing ended. What comes later is in `calls` only. */
  readonly status: 'running' | 'fulfilled' | 'rejected';
  /** The error that the run rejected with. */
  readonly reason?: unknown;
  /**
   * The calls that the run has caused, in their order: inline, after-commit and background callbacks, and durable attempts.
   */
  readonly calls: readonly RecordedCall[];
}

/** One call of a callback; of a durable one, one attempt. */
export interface RecordedCall {
  readonly event: string;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  readonly delivery: DeliveryMode;
  readonly arguments: readonly unknown[];
  readonly status: 'running' | 'fulfilled' | 'rejected';
  /** The value that it returned. */
  readonly value?: unknown;
  /** The error that it threw. */
  readonly reason?: unknown;
  /** Which attempt at a durable delivery it is, 1 for the first; `id` is that of the delivery. */
  readonly attempt?: number;
  readonly id?: string;
}

type Writable<T> = { -readonly [Field in keyof T]: T[Field] };
type WritableRun = Writable<RecordedRun> & { readonly calls: RecordedCall[] };

const runChannel = tracingChannel<unknown, RunTrace>('nestjs-callbacks:run');
const callbackChannel = tracingChannel<unknown, CallbackTrace>('nestjs-callbacks:callback');
const ignore = () => {};

/** A run that may have stored deliveries. */
export type StoredRun = Pick<RunTrace, 'event' | 'eventKey'> & { readonly id: string };

/** Records what one application runs, and what its callbacks do. */
export class Recorder {
  runs: RecordedRun[] = [];
  calls: RecordedCall[] = [];
  private runOf = new Map<RunTrace, WritableRun>();
  private callOf = new WeakMap<CallbackTrace, Writable<RecordedCall>>();
  /** Runs that have stored deliveries, by event and id. */
  private readonly storing = new Map<string, RunTrace>();
  /** Runs whose deliveries may still be open, by event and id. */
  private readonly open = new Map<string, StoredRun>();
  private readonly keys = new WeakMap<RecordedRun, EventKey>();

  /** @param application as traces name it */
  constructor(private readonly application: object) {}

  start(): void {
    runChannel.subscribe(this.onRun);
    callbackChannel.subscribe(this.onCall);
  }

  stop(): void {
    runChannel.unsubscribe(this.onRun);
    callbackChannel.unsubscribe(this.onCall);
  }

  /** Forgets all records. Stored deliveries are still waited for, but no longer recorded. */
  clear(): void {
    [this.runs, this.calls, this.runOf, this.callOf] = [[], [], new Map(), new WeakMap()];
  }

  runsOf(event: EventKey): readonly RecordedRun[] {
    return this.runs.filter((run) => this.keys.get(run) === event);
  }

  /** How many deliveries runs have stored for a callback that answers these events, and which has not been called. */
  uncalled(callback: string, events: readonly EventKey[]): number {
    const called = new Set(this.calls.flatMap((call) => (call.callback === callback ? [call.id] : [])));
    return [...this.storing.values()].filter(
      (trace) =>
        events.includes(trace.eventKey) && this.runOf.get(trace)?.status === 'fulfilled' && !called.has(trace.id),
    ).length;
  }

  /** The runs whose deliveries may still be open; those that have not ended are not among them yet. */
  openRuns(): readonly StoredRun[] {
    return [...this.open.values()];
  }

  /** Forgets runs whose deliveries are done. */
  forgetOpen(runs: Iterable<StoredRun>): void {
    for (const run of runs) this.open.delete(nameOf(run));
  }

  private readonly onRun = {
    start: (trace: RunTrace) => {
      if (trace.application !== this.application) return;
      const run: WritableRun = {
        event: trace.event,
        // Schemas may replace the arguments after the run has started.
        get arguments() {
          return trace.arguments;
        },
        get headers() {
          return trace.headers ?? {};
        },
        status: 'running',
        calls: [],
      };
      this.runOf.set(trace, run);
      this.keys.set(run, trace.eventKey);
      this.runs.push(run);
    },
    end: (trace: RunTrace) => this.noteStoring(trace),
    error: (trace: RunTrace) => settle(this.runOf.get(trace), { status: 'rejected', reason: trace.error }),
    asyncStart: (trace: RunTrace) => this.noteStoring(trace),
    asyncEnd: (trace: RunTrace) => {
      // Earlier, a delivery that is not stored yet would look like one that is done.
      if (trace.application === this.application && isStored(trace)) this.open.set(nameOf(trace), trace);
      settle(this.runOf.get(trace), { status: 'fulfilled' });
    },
  };

  private readonly onCall = {
    start: (trace: CallbackTrace) => {
      if (trace.application !== this.application) return;
      const { event, callback, delivery, arguments: args, attempt, id } = trace;
      const cause = trace.run ?? this.storing.get(nameOf(trace));
      // Its run was forgotten by clear(). A delivery without a run was stored before this application started.
      if (cause && !this.runOf.has(cause)) return;
      const call: Writable<RecordedCall> = {
        event,
        callback,
        delivery: delivery as DeliveryMode,
        arguments: args,
        status: 'running',
        ...(id !== undefined && { id, attempt }),
      };
      this.callOf.set(trace, call);
      this.calls.push(call);
      if (cause) this.runOf.get(cause)!.calls.push(call);
    },
    end: ignore,
    error: (trace: CallbackTrace) => settle(this.callOf.get(trace), { status: 'rejected', reason: trace.error }),
    asyncStart: ignore,
    asyncEnd: (trace: CallbackTrace) => settle(this.callOf.get(trace), { status: 'fulfilled', value: trace.result }),
  };

  /** A run has its id once its arguments are checked. By event and id, a later attempt finds the run that stored it. */
  private noteStoring(trace: RunTrace): void {
    if (trace.id === undefined || trace.application !== this.application) return;
    if (!this.storing.has(nameOf(trace))) this.storing.set(nameOf(trace), trace);
  }
}

const isStored = (trace: RunTrace): trace is RunTrace & StoredRun => trace.id !== undefined;

const nameOf = ({ event, id }: { event: string; id?: string }) => `${event} ${id}`;

/** The channels tell of an error first and of the end afterwards, so the first change counts. */
function settle(record: { status: string } | undefined, change: object): void {
  if (record?.status === 'running') Object.assign(record, change);
}
