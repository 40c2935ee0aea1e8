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
