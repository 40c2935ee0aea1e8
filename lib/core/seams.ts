// What the entries of this package take from its core, and nobody else: it is in no `exports`.

export { show } from './errors/describe.js';
export { EVENTS_TEST_HOOKS, type CalledCallback, type EventsTestHooks } from './options/test-hooks.js';
