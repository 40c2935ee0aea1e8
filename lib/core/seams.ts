// The core's door for the other entries of this package. It is in no `exports`: users must not depend on what it opens.

export { isThenable } from './async/promises.js';
export { show } from './errors/describe.js';
export { withEventsInvalid } from './errors/transaction-errors.js';
export { isSchema } from './events/event-definition.js';
export { isHeaderName, MOST_HEADER_BYTES, sizeOfHeaders } from './events/event-headers.js';
export { eventLabel } from './events/event-map.js';
export { TELLS_EVENTS } from './nest/transaction-hosts.js';
export { EVENTS_TEST_HOOKS, type EventsTestHooks } from './options/test-hooks.js';
export {
  type AttemptOutcome,
  EVENTS_WORK_HOOKS,
  type HookedAttempt,
  type HookedCall,
  type HookedRun,
  type HookedStoring,
  type WorkHooks,
} from './options/work-hooks.js';
export { Provided } from './options/provided.js';
export { IS_BOOLEAN } from './options/option-checks.js';
