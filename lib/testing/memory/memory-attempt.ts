import type { EngineAttempt } from '../../engine/index.js';
import type { MemoryStore } from './memory-store.js';
import { type Claim, copyOf, type Row } from './row.js';

/** The things that an attempt in memory needs. */
interface AttemptOptions {
  readonly store: MemoryStore;
  /** The clock of deliveries. */
  readonly now: () => number;
  /** Renews the claim no more. */
  readonly drop: () => void;
}

/** Makes the attempt at a delivery that an instance has claimed. */
export function attemptAt(row: Row, claim: Claim, { store, now, drop }: AttemptOptions): EngineAttempt {
  const { event, callback, id, givenId, key, headers, arguments: args } = row;
  const settle = async (change: Partial<Row>): Promise<boolean> => {
    drop();
    if (row.claim !== claim) return false;
    Object.assign(row, { claim: undefined, isSuspect: false, since: now(), ...change });
    store.changed();
    return true;
  };
  const later = (ms: number) => ({ state: 'waiting' as const, since: now() + Math.ceil(ms), isRetried: true });
  return {
    delivery: {
      event,
      callback,
      id,
      ...(givenId !== undefined && { givenId }),
      ...(key !== undefined && { key }),
      ...(headers && { headers: copyOf(headers) }),
      arguments: copyOf(args),
    },
    attempt: row.attempts,
    charged: row.attempts - row.spared,
    postponedMs: row.postponedMs,
    signal: claim.abort.signal,
    complete: async () => {
      drop();
      if (row.claim !== claim) return false;
      row.claim = undefined;
      store.remove(row);
      return true;
    },
    retryIn: (ms, error) => settle({ ...later(ms), error }),
    postpone: (ms) => settle({ ...later(ms), attempts: row.attempts - 1, postponedMs: row.postponedMs + ms }),
    bury: (error) => settle({ state: 'dead', error }),
    release: () => settle({ state: 'waiting', attempts: row.attempts - 1, isRetried: true }),
    completeIn: () => Promise.reject(noTransactions()),
  };
}

export const noTransactions = () =>
  new Error('The memory engine takes no transactions. Store and complete without one, or use another engine.');
