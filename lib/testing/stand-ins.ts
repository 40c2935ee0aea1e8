import type { WorkHooks } from '../core/seams.js';
import { currentEvent, type EventKey } from '../index.js';

type Replacement = (...args: any[]) => unknown;

/** How a callback is made to fail. */
interface Failing {
  readonly attempts: readonly number[] | undefined;
  readonly error: unknown;
  /** How often the callback was called, where calls are not attempts at a delivery. */
  calls: number;
}

/** Does something else instead of calling callbacks. */
export class StandIns {
  private readonly ofCallbacks = new Map<string, Replacement>();
  private readonly ofEvents = new Map<EventKey, Replacement>();
  private readonly failing = new Map<string, Failing>();

  fake(callback: string, replacement: Replacement): void {
    this.ofCallbacks.set(callback, replacement);
  }

  fakeEvent(event: EventKey, replacement: Replacement): void {
    this.ofEvents.set(event, replacement);
  }

  fail(callback: string, attempts: readonly number[] | undefined, error: unknown): void {
    this.failing.set(callback, { attempts, error, calls: 0 });
  }

  clear(): void {
    for (const map of [this.ofCallbacks, this.ofEvents, this.failing]) map.clear();
  }

  readonly call: NonNullable<WorkHooks['call']> = ({ event, callback, args }, proceed) => {
    const failing = this.failing.get(callback);
    if (failing) {
      const number = currentEvent()?.delivery?.attempt ?? ++failing.calls;
      if (!failing.attempts || failing.attempts.includes(number)) throw failing.error;
    }
    const fake = this.ofCallbacks.get(callback) ?? this.ofEvents.get(event);
    return fake ? fake(...args) : proceed();
  };
}
