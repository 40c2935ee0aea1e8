import { type EngineAttempt, failureOf, type StoredError } from '../../engine/index.js';
import type { MemoryStore } from './memory-store.js';
import { type Claim, deliveryOf, remembering, type Row } from './row.js';

/** The things that an attempt in memory needs. */
interface AttemptOptions {
  /** Names the instance that makes it. */
  readonly instance: string;
  readonly store: MemoryStore;
  /** The clock of deliveries. */
  readonly now: () => number;
  /** Renews the claim no more. */
  readonly drop: () => void;
}

/** Makes the attempt at a delivery that an instance has claimed. */
export function attemptAt(row: Row, claim: Claim, { instance, store, now, drop }: AttemptOptions): EngineAttempt {
  const settle = async (change: Partial<Row>): Promise<boolean> => {
    drop();
    if (row.claim !== claim) return false;
    Object.assign(row, { claim: undefined, isSuspect: false, since: now(), ...change });
    store.changed();
    return true;
  };
  const later = (ms: number) => ({ state: 'waiting' as const, since: now() + Math.ceil(ms), isRetried: true });
  const failed = (error: StoredError): Partial<Row> => ({
    error,
    history: remembering(row.history, { at: new Date(now()), ...failureOf(instance, error) }),
  });
  return {
    delivery: deliveryOf(row),
    attempt: row.attempts,
    charged: row.attempts - row.spared,
    postponedMs: row.postponedMs,
    signal: claim.abort.signal,
    complete: async () => {
      drop();
      if (row.claim !== claim) return false;
      Object.assign(row, { claim: undefined, state: 'completed', since: now() });
      store.complete(row);
      return true;
    },
    retryIn: (ms, error) => settle({ ...later(ms), ...failed(error) }),
    postpone: (ms) => settle({ ...later(ms), attempts: row.attempts - 1, postponedMs: row.postponedMs + ms }),
    bury: (error) => settle({ state: 'dead', ...failed(error) }),
    release: () => settle({ state: 'waiting', attempts: row.attempts - 1, isRetried: true }),
    completeIn: () => Promise.reject(noTransactions()),
  };
}

export const noTransactions = () =>
  new Error('The memory engine takes no transactions. Store and complete without one, or use another engine.');
