/** Which part of a retry one call does. */
export interface RetryPortion {
  /** How many deliveries it makes wait again, at most. */
  readonly limit: number;
  /** Where the portion before has ended. */
  readonly after?: string;
}

export interface RetriedPortion {
  readonly count: number;
  /** Where the next portion begins. Without it there is none. */
  readonly after?: string;
}

/** Which part of the removal of deliveries one call does. */
export interface DiscardPortion {
  /** How many deliveries it removes, at most. */
  readonly limit: number;
  /**
   * Which ones: those that wait, or those that are dead; both, where the deliveries are named by ids and it is absent. A series of
   * portions has one.
   */
  readonly state?: 'waiting' | 'dead';
  /** Where the portion before has ended. */
  readonly after?: string;
}

export type DiscardedPortion = RetriedPortion;
