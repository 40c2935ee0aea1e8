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
export type { CallbackOptions, CallbackTarget, DeliveryMode } from './callback.options.js';
export type { DurableOptions, RetryOptions } from './durable.options.js';
export { currentEvent, type CurrentDelivery, type CurrentEvent } from './current-event.js';
export { DeliveryRefused } from './delivery-refused.js';
export { switchToEvent, type EventHost } from './event-host.js';

// Running them
export { EventRunner } from './event-runner.js';
export type { RunContext } from './run-context.js';
export type { Outcome } from './runs.js';

// Looking after durable deliveries
export { EventDeliveries, type CallbackDeliveries, type DeliveriesQuery, type KeptEvent } from './event-deliveries.js';

// When something goes wrong
export { EventsError, EVENTS_ERROR_CODES, type EventsErrorCode } from './errors.js';
export type { CallbackFailure, FailedAttempt } from './failures.js';

// Writing an engine: the port, and its rules
export { UnknownOutcomeError } from './engine.js';
export type {
  Delivery,
  DeliveryAddress,
  DeliveryCounts,
  DeliveryFilter,
  DeliveryQuery,
  DeliveryState,
  DurableCallback,
  DurableEngine,
  EngineAttempt,
  EngineCapabilities,
  EngineFactory,
  EngineHost,
  KeptDelivery,
  NewDelivery,
  SqlTransaction,
  StoredError,
} from './engine.js';
export type { Json } from './stored-arguments.js';

// Watching: what the subscribers of the tracing channels get
export type { CallbackTrace, RunTrace } from './diagnostics.js';
