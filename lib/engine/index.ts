// The port: what an engine implements, and what it is told
export type {
  Delivery,
  DeliveryAddress,
  DurableCallback,
  Json,
  KnownAddress,
  NewDelivery,
} from '../core/engine/delivery.js';
export type { DurableEngine, EngineCapabilities, EngineFactory } from '../core/engine/engine.js';
export type { EngineAttempt } from '../core/engine/engine-attempt.js';
export type { DeliveryCounts, DeliveryState, KeptDelivery, LastHour } from '../core/engine/kept-delivery.js';
export type { DeliveriesOrder, DeliveryPage, DeliveryQuery } from '../core/engine/delivery-query.js';
export type { DeliveryFilter } from '../core/engine/delivery-filter.js';
export type { HistoryEntry, PastFailure } from '../core/engine/delivery-history.js';
export type { SqlTransaction } from '../core/engine/sql-transaction.js';
export type { EngineHost } from '../core/engine/engine-host.js';
export type { DiscardedPortion, DiscardPortion, RetriedPortion, RetryPortion } from '../core/engine/retry-portion.js';
export {
  CompletionRefusedError,
  CursorRefusedError,
  TransactionRefusedError,
  UnknownOutcomeError,
} from '../core/engine/refusals.js';

export type { EventHeaders } from '../core/events/event-headers.js';
export type { StoredError } from '../core/errors/stored-error.js';

// Limits of callbacks over all instances
export { type CallbackLimits, type GroupLimit, groupOf, type RateLimit } from '../core/engine/limits.js';
export { PARTS, type Permits, RateWindow } from '../core/engine/rate-window.js';
export { BeginSlack } from '../core/engine/begin-slack.js';

// Addresses as names, and errors as text
export { addressName, addressOf } from '../core/engine/address-name.js';
export { messageOf } from '../core/errors/thrown.js';

// Deliveries that are kept: found, counted, in order
export {
  countsByAddress,
  fits,
  type FoundDeliveries,
  neverDeclared,
  outcomeOf,
} from '../core/engine/kept-deliveries.js';
export { retentionNotice, retentionReport } from '../core/engine/dead-retention.js';
export { type Filtered, isMeant, isSearch } from '../core/engine/delivery-filter.js';
export { failureOf, MOST_HISTORY, type NewFailure } from '../core/engine/delivery-history.js';
export { cursorOf, readCursor } from '../core/engine/cursor.js';

// Claims, and a server that may be away
export { ClaimLoop, type ClaimLoopOptions } from '../core/engine/claim-loop.js';
export { type ClaimsOptions, type HeldClaim, HeldClaims } from '../core/engine/held-claims.js';
export { Duty, type DutyOptions, type Term } from '../core/engine/duty.js';
export { EngineHealth } from '../core/engine/engine-health.js';
export { SPARED_OFTEN, Quarantine } from '../core/engine/quarantine.js';
export { atMost, NoAnswerError, within } from '../core/async/time-limits.js';
export * as timers from '../core/async/timers.js';

// Options, and the libraries that an engine is built on
export {
  type Check as OptionCheck,
  type Checks as OptionChecks,
  isWhole,
  requireOptions,
} from '../core/options/option-checks.js';
export { loadPeer } from '../core/engine/load-peer.js';
