import { setMaxListeners } from 'node:events';

/**
 * Works as an `AbortController`, but makes its signal only when somebody asks: most never do, and it is the dearest part of
 * an attempt.
 */
export class LazyAbort {
  private controller: AbortController | undefined;
  private aborted: { readonly reason: unknown } | undefined;

  get isAborted(): boolean {
    return this.aborted !== undefined;
  }

  get reason(): unknown {
    return this.aborted?.reason;
  }

  /** Any number may listen. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      setMaxListeners(0, this.controller.signal);
      if (this.aborted) this.controller.abort(this.aborted.reason);
    }
    return this.controller.signal;
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = { reason };
    this.controller?.abort(reason);
  }
}
