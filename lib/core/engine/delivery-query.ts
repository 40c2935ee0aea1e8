import type { DeliveryFilter } from './delivery-filter.js';
import type { DeliveryState, KeptDelivery } from './kept-delivery.js';

/** Says which deliveries to list. An engine that does not `search` is asked for no order, and for no completed ones. */
export interface DeliveryQuery extends DeliveryFilter {
  readonly state: DeliveryState;
  readonly limit: number;
  /**
   * Which come first: those that were stored first, or last; of completed ones, those that were completed first, or last.
   * @default 'oldest'
   */
  readonly order?: DeliveriesOrder;
  /** Where the page before has ended. */
  readonly after?: string;
}

export type DeliveriesOrder = 'oldest' | 'newest';

/** Some of the deliveries that a query means. */
export interface DeliveryPage {
  readonly found: readonly KeptDelivery[];
  /** How many deliveries were looked at, those that did not fit included. */
  readonly scanned: number;
  /** Where the next page begins: text that means something to the engine only. Without it there is none. */
  readonly after?: string;
}
