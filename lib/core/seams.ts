// The core's door for the other entries of this package. It is in no `exports`: users must not depend on what it opens.

export { awaitable, whenSettled } from './async/promises.js';
export { show, showCarried } from './errors/describe.js';
export { contextUnfit, givenInvalid } from './errors/run-errors.js';
export { withEventsInvalid } from './errors/transaction-errors.js';
export { isSchema } from './events/event-definition.js';
export { eventLabel } from './events/event-map.js';
export {
  CAUSATION_ID,
  CORRELATION_ID,
  isHeaderName,
  isHeaderText,
  MOST_HEADER_BYTES,
  readHeaders,
  sizeOfHeaders,
} from './events/event-headers.js';
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
export { type Checks, IS_BOOLEAN, isPlainObject, wrongOption } from './options/option-checks.js';
