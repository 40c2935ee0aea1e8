import type { DeliveriesOrder, DeliveryState } from '../engine/index.js';

/** Which of BullMQ's states make up each of ours, in the order in which they are read. */
export const STAGES = {
  waiting: ['delayed', 'prioritized', 'wait'],
  running: ['active'],
  dead: ['failed'],
  completed: ['completed'],
} as const satisfies Record<DeliveryState, readonly string[]>;

export type Stage = (typeof STAGES)[DeliveryState][number];

/**
 * A job that was read in the list of what waits, and its stamp: that changes when it is taken, retried or stored anew. It lies
 * elsewhere then.
 */
export type Known = readonly [id: string, stamp: string];

/** A job's place in a queue. */
export interface Place {
  readonly stage: Stage;
  readonly id: string;
  /** Its score in a sorted set, or its index in the list of what waits, from the oldest. */
  readonly at: number;
  /** Of one in the list of what waits. */
  readonly stamp?: string;
  /** What was before it in the list, the nearest first: by these the place is found again when the job is gone. */
  readonly before: readonly Known[];
  /** When all that was delayed had been read, in milliseconds since 1970. What came due later was read as that. */
  readonly delayedReadAt?: number;
}

/** Which jobs of a stage are read. */
export interface Wanted {
  readonly limit: number;
  readonly after?: Place;
  /** @default 'oldest' */
  readonly order?: DeliveriesOrder;
  /** Only those of a sorted set whose score is so much, or less than so much. */
  readonly least?: number;
  readonly below?: number;
}
