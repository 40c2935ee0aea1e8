import { AsyncResource } from 'node:async_hooks';
import type { CallbackRegistry } from '../callbacks/callback-registry.js';
import { closed, neverStarted } from '../errors/run-errors.js';
import type { Failures } from '../reports/failures.js';
import { handled } from '../async/promises.js';

const LONGEST_POLL_MS = 100;
const WARN_AFTER_MS = 5_000;

interface EarlyRun {
  readonly event: string;
  readonly start: () => void;
  readonly reject: (error: unknown) => void;
  readonly warning: NodeJS.Timeout;
}

/**
 * Keeps runs that are made before Nest has created all instances, by a constructor say, and starts them in order when it
 * has.
 */
export class EarlyRuns {
  private waiting: EarlyRun[] = [];
  private poll: NodeJS.Timeout | undefined;

  constructor(
    private readonly registry: CallbackRegistry,
    private readonly failures: Failures,
  ) {}

  add<T>(event: string, run: () => Promise<T>): Promise<T> {
    return handled(
      new Promise<T>((resolve, reject) => {
        const warning = setTimeout(() => this.warn(event), WARN_AFTER_MS);
        this.waiting.push({ event, reject, warning, start: AsyncResource.bind(() => resolve(run())) });
        this.pollAfter(1);
      }),
    );
  }

  /**
   * Starts the runs that wait, as soon as it can. Nest's hooks call it; the poll serves runs that come before the hooks.
   */
  flush(): void {
    if (this.waiting.length === 0) return;
    try {
      if (!this.registry.refresh()) {
        if (this.registry.hasFailed) this.rejectAll(neverStarted);
        return;
      }
    } catch (error) {
      this.rejectAll(() => error);
      return;
    }
    for (const { start } of this.take()) start();
  }

  /** Rejects the runs that wait: the application closes without ever having been complete. */
  close(): void {
    this.rejectAll(closed);
  }

  private rejectAll(errorOf: (event: string) => unknown): void {
    for (const { event, reject } of this.take()) {
      const error = errorOf(event);
      this.failures.refuse(event, error);
      reject(error);
    }
  }

  private take(): EarlyRun[] {
    const taken = this.waiting;
    this.waiting = [];
    clearTimeout(this.poll);
    this.poll = undefined;
    for (const { warning } of taken) clearTimeout(warning);
    return taken;
  }

  private pollAfter(ms: number): void {
    if (this.poll || this.waiting.length === 0) return;
    this.poll = setTimeout(() => {
      this.poll = undefined;
      this.flush();
      this.pollAfter(Math.min(ms * 2, LONGEST_POLL_MS));
    }, ms).unref();
  }

  private warn(event: string): void {
    this.failures.logger.warn(
      `"${event}" was run ${WARN_AFTER_MS / 1000} s ago and still waits for Nest to create all providers. ` +
        'Awaited inside an async provider factory it waits for itself: run it in onModuleInit() or onApplicationBootstrap() instead.',
    );
  }
}
