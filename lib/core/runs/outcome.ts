/** How one call of a callback has ended. */
export type Settled = { status: 'fulfilled'; value: unknown } | { status: 'rejected'; reason: unknown };

/**
 * How `runSettled()` ended for one callback. An `'after-rollback'` callback outside a transaction has none, as nothing can
 * become of it.
 */
export type Outcome = {
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
  /**
   * How long it took, in milliseconds; for `'stored'` and `'started'`, how long storing or starting it took; for `'held'`
   * 0.
   */
  readonly durationMs: number;
} & (
  | Settled
  /** A durable callback: its delivery will be worked on. */
  | { readonly status: 'stored' }
  /** It waits for the end of the transaction: what becomes of it is reported, not returned. */
  | { readonly status: 'held' }
  /** A background callback: what becomes of it is reported, not returned. */
  | { readonly status: 'started' }
);
