import { AsyncLocalStorage } from 'node:async_hooks';
import diagnostics, {
  type Channel,
  type ChannelListener,
  type TracingChannel,
  tracingChannel,
} from 'node:diagnostics_channel';
import { describeThrown } from '../errors/thrown.js';
import type { EventHeaders } from '../events/event-headers.js';
import type { EventKey } from '../events/event-map.js';
import { SafeLogger } from './safe-logger.js';
import { awaitable, whenSettled } from '../async/promises.js';

/** The fields that the subscribers of both channels get. */
interface Trace {
  /** The event's name, or its class's name. */
  readonly event: string;
  /** The name, or the class itself: two classes of one name are two events. */
  readonly eventKey: EventKey;
  /** An object that all traces of one application share. Several applications in one process have several. */
  readonly application: object;
  error?: unknown;
}

/** One run of an event, as `nestjs-callbacks:run` tells its subscribers; also of an event that nobody answers. */
export interface RunTrace extends Trace {
  /** The arguments as they were passed; once the schemas have checked them, as callbacks get them. */
  arguments: readonly unknown[];
  /** The id of the deliveries that it stores, if a durable callback answers. */
  id?: string;
  /** What travels with it to its callbacks, once the arguments are checked. */
  headers?: EventHeaders;
}

/** One call of one callback, as `nestjs-callbacks:callback` tells its subscribers. */
export interface CallbackTrace extends Trace {
  readonly arguments: readonly unknown[];
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  readonly delivery: string;
  /** The id of the delivery, and which attempt at it this is, 1 for the first. Only durable callbacks have them. */
  readonly id?: string;
  readonly attempt?: number;
  /**
   * The run that it is part of, as the subscribers of that channel know it, if there are any. Durable attempts have none.
   */
  readonly run?: RunTrace;
  result?: unknown;
}

/** Named twice, as versions of `@types/node` differ in which of the two comes first. */
type EventsChannel<Told extends object> = TracingChannel<Told, Told>;

/** The two channels of this process. */
interface Channels {
  readonly run: EventsChannel<RunTrace>;
  readonly callback: EventsChannel<CallbackTrace>;
}

const CHANNELS = Symbol.for('nestjs-callbacks:channels');

/**
 * Node 20 forgets the name of a channel some time after the channel was collected, though another may have the name by then:
 * its subscribers would hear nothing. So ours are kept for as long as the process lives, also when a test runner drops this
 * module and loads it anew.
 */
const kept = diagnostics as typeof diagnostics & { [CHANNELS]?: Channels };
const channels = (kept[CHANNELS] ??= {
  run: tracingChannel('nestjs-callbacks:run'),
  callback: tracingChannel('nestjs-callbacks:callback'),
});

/** `node:diagnostics_channel` tracing channels: nothing is paid for them until somebody subscribes. */
export const runChannel: EventsChannel<RunTrace> = channels.run;
export const callbackChannel: EventsChannel<CallbackTrace> = channels.callback;

const STEPS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;
const WATCH = Symbol.for('nestjs-callbacks:watch');

/** The subscribers of a tracing channel. */
interface Watch {
  /** Whether there are any. It is noted as they come and go, since asking ten channels on every run costs a tenth of it. */
  isOn: boolean;
  readonly guardedBy: WeakMap<ChannelListener, ChannelListener>;
  readonly guarded: WeakSet<ChannelListener>;
}

/**
 * Node turns a subscriber's exception into an uncaught one, which ends the process. Here it is logged instead, and
 * the run goes on. Node changes a channel's prototype with its first subscriber and then subscribes anew through the
 * channel itself: hence the look-up of the method on each call, and the set of listeners that are guarded already.
 */
function watch<Told extends Trace>(tracing: EventsChannel<Told>): Watch {
  // Channels belong to the process: another copy of this module shares the state.
  const first = tracing.start as Channel & { [WATCH]?: Watch };
  const state = (first[WATCH] ??= { isOn: false, guardedBy: new WeakMap(), guarded: new WeakSet() });
  const note = () => {
    state.isOn = STEPS.some((step) => tracing[step].hasSubscribers);
  };
  note();
  for (const step of STEPS) {
    const channel = tracing[step] as Channel;
    const original = () => Object.getPrototypeOf(channel) as Channel;
    channel.subscribe = (listener) => {
      original().subscribe.call(channel, guard(state, listener));
      note();
    };
    channel.unsubscribe = (listener) => {
      const isGone = original().unsubscribe.call(channel, state.guardedBy.get(listener) ?? listener);
      note();
      return isGone;
    };
    channel.bindStore = (store, transform) => {
      original().bindStore.call(channel, store, transform);
      note();
    };
    channel.unbindStore = (store) => {
      const isGone = original().unbindStore.call(channel, store);
      note();
      return isGone;
    };
  }
  return state;
}

function guard({ guarded, guardedBy }: Watch, listener: ChannelListener): ChannelListener {
  if (guarded.has(listener)) return listener;
  let safe = guardedBy.get(listener);
  if (!safe) {
    safe = (message, name) => {
      try {
        listener(message, name);
      } catch (error) {
        const { message: found, stack } = describeThrown(error);
        const told = `A subscriber of ${String(name)} threw: ${found}`;
        new SafeLogger('EventRunner').error(told, ...(stack === undefined ? [] : [stack]));
      }
    };
    guardedBy.set(listener, safe);
    guarded.add(safe);
  }
  return safe;
}

export const runWatch = watch(runChannel);
export const callbackWatch = watch(callbackChannel);

const storage = new AsyncLocalStorage<RunTrace | undefined>();

/** The run that the calling code is part of, while somebody watches runs. */
export const tracedRun = (): RunTrace | undefined => (runWatch.isOn ? storage.getStore() : undefined);

/** Does some work as a part of a run. */
export const asPartOf = <T>(run: RunTrace | undefined, work: () => T): T =>
  run === storage.getStore() ? work() : storage.run(run, work);

/**
 * Does `work`, and tells the subscribers: `start`, `error` if it fails, `end` when it has returned, `asyncStart` and
 * `asyncEnd` when its result is there, which for a synchronous one is at once. Node's own `tracePromise()` does not agree
 * with itself, from version to version, on what is no promise.
 */
export function traced<Told extends Trace>(
  channel: EventsChannel<Told>,
  trace: Told & { result?: unknown },
  work: () => unknown,
): unknown {
  return channel.start.runStores(trace, () => {
    let waiting: PromiseLike<unknown> | undefined;
    try {
      const result = work();
      waiting = awaitable(result);
      if (!waiting) return (trace.result = result);
    } catch (error) {
      publishFailure(channel, trace, error);
      throw error;
    } finally {
      channel.end.publish(trace);
      if (!waiting) publishEnd(channel, trace);
    }
    return endOf(channel, trace, waiting);
  });
}

/** Tells of the end of work that must be waited for, and ends as the work does. */
const endOf = <Told extends Trace>(
  channel: EventsChannel<Told>,
  trace: Told & { result?: unknown },
  work: PromiseLike<unknown>,
) =>
  new Promise((resolve, reject) => {
    whenSettled(
      work,
      (result) => {
        trace.result = result;
        publishEnd(channel, trace);
        resolve(result);
      },
      (error) => {
        publishFailure(channel, trace, error);
        publishEnd(channel, trace);
        reject(error);
      },
    );
  });

function publishFailure<Told extends Trace>(channel: EventsChannel<Told>, trace: Told, error: unknown): void {
  trace.error = error;
  channel.error.publish(trace);
}

function publishEnd<Told extends Trace>(channel: EventsChannel<Told>, trace: Told): void {
  channel.asyncStart.publish(trace);
  channel.asyncEnd.publish(trace);
}
