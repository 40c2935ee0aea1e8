/** What every engine promises, of the one that keeps deliveries in memory, for tests. */
import { beforeEach, describe } from '@jest/globals';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { engineSuite } from '../support/engine-suite.js';

describe('The memory engine', () => {
  let store: MemoryStore;
  beforeEach(() => {
    store = new MemoryStore();
  });

  engineSuite({
    name: 'memory',
    engineOf: memoryEngine,
    lacks: {
      transactions: {
        of: 'memory',
      },
    },
    place: () => ({ store }),
  });
});
