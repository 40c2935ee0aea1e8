// An engine for tests
export { memoryEngine, type MemoryEngineOptions } from './memory-engine.js';
export { MemoryStore } from './memory-store.js';

// Testing an engine of your own
export { engineContract } from './engine-contract.js';
export type { ContractNeed, ContractRule, EngineHarness } from './contract-scene.js';
