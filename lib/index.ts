// Setting up
export { EventsModule } from './events.module.js';
export type { EventsOptions } from './events.options.js';

// Declaring events
export type {
  CallbackArguments,
  CallbackEvent,
  EventClass,
  EventMap,
  EventName,
  RunArguments,
  RunEvent,
} from './event-map.js';
export { defineEvent, type EventDefinition, type PassedTo, type ReceivedFrom } from './event-definition.js';

// Answering them
export { Callback } from './callback.decorator.js';
export type { CallbackOptions, CallbackTarget, Delivery } from './callback.options.js';
export { currentEvent, type CurrentEvent } from './current-event.js';
export { switchToEvent, type EventHost } from './event-host.js';

// Running them
export { EventRunner, type RunContext } from './event-runner.js';
export type { Outcome } from './runs.js';

// When something goes wrong
export { EventsError, EVENTS_ERROR_CODES, type EventsErrorCode } from './errors.js';
export type { CallbackFailure } from './failures.js';

// Watching: what the subscribers of the tracing channels get
export type { CallbackTrace, RunTrace } from './diagnostics.js';
