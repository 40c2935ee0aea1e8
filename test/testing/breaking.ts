/** How the specs of the contract break an engine: by its methods, or by what it stands on. */
import type {
  DeliveryCounts,
  DeliveryPage,
  DeliveryQuery,
  DurableEngine,
  EngineAttempt,
  KeptDelivery,
  NewDelivery,
} from 'nestjs-callbacks/engine';
import { type EngineHarness, MemoryStore } from 'nestjs-callbacks/testing';
import { inMemoryTransaction, TransactionalMemoryEngine } from '../support/transactional-memory-engine.js';
import { LEASE_MS } from './broken-stores.js';

/** A sound engine with some of its methods replaced; `engine` is the sound one. */
export type Break = (engine: DurableEngine) => Partial<DurableEngine>;

/** An engine that breaks a rule by its methods, or by what it stands on. */
export interface Broken {
  readonly breaking?: Break;
  readonly leaseMs?: number;
  readonly store?: MemoryStore;
}

export function harnessOf({
  breaking = () => ({}),
  leaseMs: ownLeaseMs,
  store = new MemoryStore(),
}: Broken): EngineHarness {
  return {
    leaseMs: LEASE_MS,
    open(leaseMs) {
      const engine = new TransactionalMemoryEngine(store, ownLeaseMs ?? leaseMs);
      const replaced = breaking(engine);
      return new Proxy<DurableEngine>(engine, {
        get: (target, name: keyof DurableEngine) => {
          const member = replaced[name] ?? target[name];
          return typeof member === 'function' ? member.bind(target) : member;
        },
      });
    },
    cutOff: (engine) => engine.stop(),
    transaction: inMemoryTransaction,
  };
}

/** Each callback of an instance has an instance of its own. */
export const apart = (store: MemoryStore): Break => {
  const host = { instance: 'here', log() {}, warn() {}, report() {} };
  return (engine) => {
    const others: DurableEngine[] = [];
    const all = async (does: (one: DurableEngine) => Promise<void>) => {
      for (const one of [engine, ...others]) await does(one);
    };
    return {
      work: (callback, perform) => {
        const own = new TransactionalMemoryEngine(store, LEASE_MS);
        others.push(own);
        void own.start(host).then(() => own.work(callback, perform));
      },
      stopWorking: () => all((one) => one.stopWorking()),
      stop: () => all((one) => one.stop()),
    };
  };
};

export const storing =
  (change: (deliveries: readonly NewDelivery[]) => NewDelivery[]): Break =>
  (engine) => ({ store: (deliveries, transaction) => engine.store(change(deliveries), transaction) });

export const counting =
  (change: (count: DeliveryCounts) => Partial<DeliveryCounts>): Break =>
  (engine) => ({ counts: async () => (await engine.counts()).map((count) => ({ ...count, ...change(count) })) });

export const performing =
  (change: (attempt: EngineAttempt) => Partial<EngineAttempt>): Break =>
  (engine) => ({
    work: (callback, perform) => engine.work(callback, (attempt) => perform({ ...attempt, ...change(attempt) })),
  });

/** Has an attempt do what the last attempt at its delivery is to do. */
export const byTheLast = (change: (last: () => EngineAttempt) => Partial<EngineAttempt>): Break => {
  const attempts = new Map<string, EngineAttempt>();
  return performing((attempt) => {
    const { id } = attempt.delivery;
    attempts.set(id, attempt);
    return change(() => attempts.get(id)!);
  });
};

export const seen = () => {
  const ids = new Set<string>();
  return (id: string) => ids.has(id) || !ids.add(id);
};

/** A page whose cursor is a number of deliveries. */
export function numbered(all: readonly KeptDelivery[], { after = '0', limit }: DeliveryQuery): DeliveryPage {
  const end = Number(after) + limit;
  return { found: all.slice(Number(after), end), scanned: all.length, ...(end < all.length && { after: String(end) }) };
}
