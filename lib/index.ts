// Setting up
export { EventsModule } from './events.module.js';
export type { EventsOptions } from './events.options.js';

// Declaring events
export type {
  CallbackArguments,
  CallbackEvent,
  EventClass,
  EventKey,
  EventMap,
  EventName,
  RunArguments,
  RunEvent,
} from './event-map.js';
export { defineEvent, EventDefinition, type PassedTo, type ReceivedFrom } from './event-definition.js';

// Answering them
export { Callback } from './callback.decorator.js';
export type { CallbackOptions, CallbackTarget, DeliveryMode } from './callback.options.js';
export type { DurableOptions, RetryOptions } from './durable.options.js';
export { currentEvent, type CurrentDelivery, type CurrentEvent } from './current-event.js';
export { DeliveryRefused } from './delivery-refused.js';
export { switchToEvent, type EventHost } from './event-host.js';

// Running them
export { inTransaction, type TransactionScope } from './in-transaction.js';
export { EventRunner } from './event-runner.js';
export type { RunContext } from './run-context.js';
export type { TransactionHandle } from './transaction-handle.js';
export type { Outcome } from './runs.js';

// Looking after durable deliveries
export { EventDeliveries, type CallbackDeliveries, type DeliveriesQuery, type KeptEvent } from './event-deliveries.js';

// When something goes wrong
export { EventsError, EVENTS_ERROR_CODES, type EventsErrorCode } from './errors.js';
export type { CallbackFailure, FailedAttempt } from './failures.js';

// Writing an engine: the port, and its rules
export { TransactionRefusedError, UnknownOutcomeError } from './engine.js';
export { addressName, addressOf } from './address-name.js';
export { EngineHealth } from './engine-health.js';
export { type ClaimsOptions, type HeldClaim, HeldClaims } from './held-claims.js';
export { loadPeer } from './load-peer.js';
export { type Check as OptionCheck, type Checks as OptionChecks, requireOptions } from './option-checks.js';
export { messageOf } from './thrown.js';
export { NoAnswerError, within } from './within.js';
export * as timers from './timers.js';
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

// Looking into an application, and changing it for a test
export { EventsInspector, type CallbackDescription } from './events-inspector.js';
export { EVENTS_TEST_HOOKS, type CalledCallback, type EventsTestHooks } from './test-hooks.js';

// Watching: what the subscribers of the tracing channels get
export type { CallbackTrace, RunTrace } from './diagnostics.js';
