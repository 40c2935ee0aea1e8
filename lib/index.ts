// Setting up
export { EventsModule } from './core/app/events.module.js';
export type { EventsOptions } from './core/options/events.options.js';
export type { Propagator } from './core/options/propagator.options.js';

// Declaring events
export type * from './core/events/declared-events.js';
export type {
  AnyDefinition,
  CallbackArguments,
  EventClass,
  EventKey,
  EventName,
  EventObject,
  NoClassPromiseOrSchema,
  NoArgumentsFitAllOfTheseEvents,
  NotATuple,
  RunArguments,
} from './core/events/event-map.js';
export { defineEvent, EventDefinition, type PassedTo, type ReceivedFrom } from './core/events/event-definition.js';

// Answering them
export { Callback, type CallbackDecorator } from './core/callbacks/callback.decorator.js';
export type { CallbackOptions, CallbackTarget, DeliveryMode } from './core/options/callback.options.js';
export type { DurableOptions, RetryOptions } from './core/options/durable.options.js';
export { currentEvent, type CurrentDelivery, type CurrentEvent } from './core/callbacks/current-event.js';
export type { LimitsOptions, RateOptions } from './core/options/limits.options.js';
export type { DeliveryCodec } from './core/options/codec.options.js';
export { DeliveryPostponed } from './core/delivery/delivery-postponed.js';
export { DeliveryRefused } from './core/delivery/delivery-refused.js';
export { switchToEvent, type EventHost } from './core/nest/event-host.js';

// Running them
export { inTransaction, type TransactionScope } from './core/transactions/in-transaction.js';
export { EventRunner } from './core/runs/event-runner.js';
export type { RunContext } from './core/runs/run-context.js';
export type { EventHeaders } from './core/events/event-headers.js';
export type { TransactionHandle } from './core/transactions/transaction-handle.js';
export type { Outcome } from './core/runs/outcome.js';

// Looking after durable deliveries
export {
  EventDeliveries,
  type CallbackDeliveries,
  type DeliveriesPage,
  type KeptEvent,
} from './core/delivery/event-deliveries.js';
export type {
  CallbackSelection,
  DeliveriesById,
  DeliveriesQuery,
  DeliverySelection,
  DiscardSelection,
} from './core/delivery/delivery-selection.js';
export type { DeliveryTraits } from './core/engine/delivery-filter.js';
export type { PortionsOptions } from './core/delivery/portions.js';
export { EventsHealth, type EventsHealthOptions } from './core/app/events-health.js';
export type { EventsHealthState } from './core/app/health-state.js';

// When something goes wrong
export { EventsError, EVENTS_ERROR_CODES, type EventsErrorCode } from './core/errors/events-error.js';
export type { CallbackFailure, FailedAttempt } from './core/options/callback-failure.js';

// Types of the engine's port that the signatures above name. Whoever writes an engine takes them from `nestjs-callbacks/engine`
export type { Delivery, DeliveryAddress } from './core/engine/delivery.js';
export type { EngineFactory } from './core/engine/engine.js';
export type { DeliveryCounts, DeliveryState, KeptDelivery, LastHour } from './core/engine/kept-delivery.js';
export type { DeliveryFilter } from './core/engine/delivery-filter.js';
export type { DeliveriesOrder } from './core/engine/delivery-query.js';
export type { HistoryEntry, PastFailure } from './core/engine/delivery-history.js';
export type { SqlTransaction } from './core/engine/sql-transaction.js';

export type { StoredError } from './core/errors/stored-error.js';

// Looking into an application
export { EventsInspector, type CallbackDescription } from './core/app/events-inspector.js';

// Watching: what the subscribers of the tracing channels get
export type { CallbackTrace, RunTrace } from './core/reports/traces.js';
