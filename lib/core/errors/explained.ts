const explanations = new WeakMap<object, string>();

/** Keeps what may help whoever reads of an error in the log. The error itself reaches the caller as it is. */
export function explain(error: unknown, explanation: string): void {
  if (typeof error === 'object' && error !== null) explanations.set(error, explanation);
}

export const explanationOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null ? explanations.get(error) : undefined;
