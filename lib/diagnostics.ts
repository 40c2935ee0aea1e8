import { type Channel, type ChannelListener, type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import { SafeLogger } from './safe-logger.js';
import { awaitable } from './thenable.js';

/** What the subscribers of `nestjs-callbacks:run` get: one run of an event, whatever answers it. */
export interface RunTrace {
  /** The event's name, or its class's name. */
  readonly event: string;
  readonly arguments: readonly unknown[];
  error?: unknown;
}

/** What the subscribers of `nestjs-callbacks:callback` get: one call of one callback. */
export interface CallbackTrace extends RunTrace {
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  readonly delivery: string;
  result?: unknown;
}

/** `node:diagnostics_channel` tracing channels: nothing is paid for them until somebody subscribes. */
export const runChannel = tracingChannel<unknown, RunTrace>('nestjs-callbacks:run');
export const callbackChannel = tracingChannel<unknown, CallbackTrace>('nestjs-callbacks:callback');

const GUARDS = Symbol.for('nestjs-callbacks:guards');

interface Guards {
  readonly guardedBy: WeakMap<ChannelListener, ChannelListener>;
  readonly guarded: WeakSet<ChannelListener>;
}

for (const tracing of [runChannel, callbackChannel]) {
  for (const step of ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const) guard(tracing[step]);
}

/**
 * Node turns a subscriber's exception into an uncaught one, which ends the process. Here it is logged instead, and
 * the run goes on. Node changes a channel's prototype with its first subscriber and then subscribes anew through the
 * channel itself: hence the look-up of the method on each call, and the set of listeners that are guarded already.
 */
function guard(channel: Channel & { [GUARDS]?: Guards }): void {
  // Channels belong to the process: what another copy of this module subscribed can be unsubscribed through this one.
  const { guardedBy, guarded } = (channel[GUARDS] ??= { guardedBy: new WeakMap(), guarded: new WeakSet() });
  const prototype = () => Object.getPrototypeOf(channel) as Channel;

  channel.subscribe = (listener) => {
    let safe = guarded.has(listener) ? listener : guardedBy.get(listener);
    if (!safe) {
      safe = (message, name) => {
        try {
          listener(message, name);
        } catch (error) {
          new SafeLogger('EventRunner').error(`A subscriber of ${String(name)} threw`, error);
        }
      };
      guardedBy.set(listener, safe);
      guarded.add(safe);
    }
    prototype().subscribe.call(channel, safe);
  };
  channel.unsubscribe = (listener) => prototype().unsubscribe.call(channel, guardedBy.get(listener) ?? listener);
}

/**
 * Does `work`, and tells the subscribers: `start`, `error` if it fails, `end` when it has returned, `asyncStart` and
 * `asyncEnd` when its result is there, which for a synchronous one is at once. Node's own `tracePromise()` does not agree
 * with itself, from version to version, on what is no promise.
 */
export function traced<Trace extends RunTrace>(
  channel: TracingChannel<unknown, Trace>,
  trace: Trace & { result?: unknown },
  work: () => unknown,
): unknown {
  const isOver = () => {
    channel.asyncStart.publish(trace);
    channel.asyncEnd.publish(trace);
  };
  const hasFailed = (error: unknown) => {
    trace.error = error;
    channel.error.publish(trace);
  };
  return channel.start.runStores(trace, () => {
    let waiting: PromiseLike<unknown> | undefined;
    try {
      const result = work();
      waiting = awaitable(result);
      if (!waiting) return (trace.result = result);
    } catch (error) {
      hasFailed(error);
      throw error;
    } finally {
      channel.end.publish(trace);
      if (!waiting) isOver();
    }
    return Promise.resolve(waiting).then(
      (result) => {
        trace.result = result;
        isOver();
        return result;
      },
      (error: unknown) => {
        hasFailed(error);
        isOver();
        throw error;
      },
    );
  });
}

/** Whether anybody listens to either channel: asked once per run. */
export const isTraced = () => runChannel.hasSubscribers || callbackChannel.hasSubscribers;
