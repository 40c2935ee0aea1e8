/** The contract asks for order, counts and events, not for speed: a sound engine passes it, however slow its answers are. */
import { describe } from '@jest/globals';
import type { DurableEngine } from 'nestjs-callbacks/engine';
import { type EngineHarness, MemoryStore } from 'nestjs-callbacks/testing';
import { setTimeout as sleep } from 'node:timers/promises';
import { keepsTheContract } from '../support/contract.js';
import { inMemoryTransaction, TransactionalMemoryEngine } from '../support/transactional-memory-engine.js';

/** Half of it is spent on the way to the store, the other half on the way back. */
const ANSWER_MS = Number(process.env.ANSWER_MS ?? 350);
const onTheWay = () => sleep(ANSWER_MS / 2);

const ATTEMPT_METHODS = ['complete', 'retryIn', 'bury', 'release', 'completeIn'] as const;
const ENGINE_METHODS = [
  'start',
  'declare',
  'store',
  'stopWorking',
  'stop',
  'counts',
  'list',
  'retry',
  'discard',
] as const;

type Asking = (...args: unknown[]) => Promise<unknown>;

/** An object whose named methods answer late; all others are as they were. */
function slowed<T extends object>(target: T, names: readonly (keyof T)[]): T {
  const late = names.map((name) => {
    const ask = (target[name] as Asking).bind(target);
    const asked: Asking = async (...args) => {
      await onTheWay();
      try {
        return await ask(...args);
      } finally {
        await onTheWay();
      }
    };
    return [name, asked] as const;
  });
  return Object.assign(Object.create(target) as T, Object.fromEntries(late));
}

/** An engine that begins with attempts late, too. */
function slowEngine(engine: DurableEngine): DurableEngine {
  const work: DurableEngine['work'] = (callback, perform) =>
    engine.work(callback, async (attempt) => {
      await onTheWay();
      await perform(slowed(attempt, ATTEMPT_METHODS));
    });
  return Object.assign(slowed(engine, ENGINE_METHODS), { work });
}

describe(`A sound engine that takes ${ANSWER_MS} ms for each answer`, () => {
  const harness = (): EngineHarness => {
    const store = new MemoryStore();
    return {
      leaseMs: 1_000,
      open: (leaseMs) => slowEngine(new TransactionalMemoryEngine(store, leaseMs)),
      cutOff: (engine) => engine.stop(),
      transaction: inMemoryTransaction,
    };
  };
  keepsTheContract(harness, {
    offers: ['order', 'transactions', 'pause', 'several sessions', 'postponing', 'search', 'history'],
    atATime: Infinity,
  });
});
