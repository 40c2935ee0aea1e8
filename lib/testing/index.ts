// What happens in an application under test
export { TestEventsModule } from './test-events.module.js';
export { TestEvents } from './test-events.js';
export type { TestEventsOptions } from './test-kit.js';
export type { RecordedCall, RecordedRun } from './recorder.js';
export { eventsMatchers, type EventsMatchers, type ExpectedArguments } from './matchers/matchers.js';
export type { Context as MatcherContext, Verdict as MatcherVerdict } from './matchers/verdict.js';

// An engine for tests
export { memoryEngine } from './memory/memory-engine.js';
export type { MemoryEngineOptions } from './memory/memory-options.js';
export { MemoryStore } from './memory/memory-store.js';
export type { Clock } from './memory/clock.js';

// Testing an engine of your own
export { engineContract } from './contract/engine-contract.js';
export type { ContractNeed, ContractRule } from './contract/rule.js';
export type { EngineHarness } from './contract/scene.js';
