import type { Cluster, Redis } from 'ioredis';
import { timers } from '../engine/index.js';

const { clearInterval, setImmediate, setInterval } = timers;

/** What a connection of ioredis has inside. */
interface Inside {
  readonly stream?: { readonly bytesRead: number; destroy(error: Error): void };
  /** Commands that are sent, and not answered. */
  readonly commandQueue?: { readonly length: number };
}

/** When a connection was last seen to have nothing to wait for, or to hear something. */
interface Heard {
  readonly stream: Inside['stream'];
  readonly bytesRead: number;
  readonly at: number;
}

/**
 * Breaks a connection whose server answers nothing any more, so that another is made. ioredis has a `socketTimeout` for that, but its
 * timer outlives the connection, and breaks the next one; and it counts what this process itself was busy for.
 *
 * @param timeoutMs how long an answer may take
 * @returns what ends it
 */
export function watch(client: Redis | Cluster, timeoutMs: number): () => void {
  const heard = new WeakMap<Redis, Heard>();
  const look = () => {
    for (const node of nodesOf(client)) {
      if (!hasFallenSilent(node, heard, timeoutMs)) continue;
      const error = new Error(`Redis has answered nothing for ${timeoutMs} ms`);
      // An answer may have come while this process was busy, and is read between the two.
      setImmediate(() => hasFallenSilent(node, heard, timeoutMs) && insideOf(node).stream?.destroy(error));
    }
  };
  const timer = setInterval(look, timeoutMs / 10).unref();
  return () => clearInterval(timer);
}

function hasFallenSilent(node: Redis, heard: WeakMap<Redis, Heard>, timeoutMs: number): boolean {
  const { stream, commandQueue } = insideOf(node);
  const before = heard.get(node);
  const isSilent =
    (commandQueue?.length ?? 0) > 0 && before?.stream === stream && before?.bytesRead === stream?.bytesRead;
  if (!isSilent) heard.set(node, { stream, bytesRead: stream?.bytesRead ?? 0, at: performance.now() });
  return isSilent && performance.now() - before!.at > timeoutMs;
}

const nodesOf = (client: Redis | Cluster): readonly Redis[] => ('nodes' in client ? client.nodes('all') : [client]);

const insideOf = (node: Redis) => node as unknown as Inside;
