/** Engines that break the rules on pausing: by their methods, or by the store that they stand on. */
import type { DurableCallback } from 'nestjs-callbacks/engine';
import { MemoryStore } from 'nestjs-callbacks/testing';
import type { Break, Broken } from './breaking.js';

type Row = MemoryStore['rows'][number];
type Next = Parameters<MemoryStore['next']>;

/** A store that hands out some of what lies with a paused callback. */
class LeakyStore extends MemoryStore {
  constructor(private readonly leaks: (row: Row) => boolean) {
    super();
  }

  override next(...[callback, now, admits = () => true]: Next): Row | undefined {
    const found = super.next(callback, now, admits);
    if (found || !this.pauses.has(callback)) return found;
    const isDue = ({ state, since }: Row) => state === 'waiting' && since <= now;
    return this.rows.find(
      (row) => row.callback === callback.callback && row.event === callback.event && isDue(row) && this.leaks(row),
    );
  }

  override nextDue(callback: DurableCallback, now: number): number | undefined {
    return super.nextDue(callback, now) ?? (this.pauses.has(callback) ? now + 50 : undefined);
  }
}

/** A store that hands out the last first once something was resumed. */
class ReversingStore extends MemoryStore {
  private readonly paused = new Set<string>();

  override next(...[callback, now, admits]: Next): Row | undefined {
    const found = super.next(callback, now, admits);
    if (this.pauses.has(callback)) this.paused.add(callback.event);
    if (!found || !this.paused.has(callback.event)) return found;
    return this.rows.findLast(
      ({ state, event, key }) => state === 'waiting' && event === found.event && key === found.key,
    );
  }
}

/** A store that forgets a pause when somebody declares the callback again. */
class ForgettingStore extends MemoryStore {
  override declare(callbacks: readonly DurableCallback[]): void {
    super.declare(callbacks);
    for (const { event, callback } of callbacks) this.pauses.resume({ event, callback }, this.callbacks);
  }
}

/** A store where a callback that is new is never paused. */
class FreshStore extends MemoryStore {
  override declare(callbacks: readonly DurableCallback[]): void {
    const fresh = callbacks.filter(
      ({ event, callback }) => !this.callbacks.some((one) => one.event === event && one.callback === callback),
    );
    super.declare(callbacks);
    for (const { event, callback } of fresh) this.pauses.resume({ event, callback }, this.callbacks);
  }
}

/** Has what fails while its callback is paused wait again as if it had never begun. */
const sparing: Break = (engine) => {
  let isPaused = false;
  return {
    pause: (filter) => {
      isPaused = true;
      return engine.pause!(filter);
    },
    work: (callback, perform) =>
      engine.work(callback, (attempt) =>
        perform({
          ...attempt,
          retryIn: (ms, error) => (isPaused ? attempt.release() : attempt.retryIn(ms, error)),
        }),
      ),
  };
};

/** Has only the instance that is told of it go on. */
const resumingAlone = (() => {
  const store = new MemoryStore();
  const breaking: Break = () => ({ resume: async (filter) => store.pauses.resume(filter, store.callbacks) });
  return { store, breaking };
})();

/** By its rule. */
export const brokenPausing: Record<string, Break | Broken> = {
  'begins nothing of a paused callback, whoever stores it, while others go on, and charges nothing for that': {
    store: new LeakyStore(({ isRetried }) => !isRetried),
  },
  'begins nothing of a paused callback that comes due: after a delay, to be tried again, or retried when it was dead': {
    store: new LeakyStore(({ isRetried, attempts }) => isRetried && attempts > 0),
  },
  'has what runs go on when its callback is paused, and settles it as ever': sparing,
  'begins nothing of a paused callback that comes back from an instance that died': {
    store: new LeakyStore(({ isSuspect }) => isSuspect),
  },
  'keeps the order of a key over a pause': { store: new ReversingStore() },
  'has every instance go on when a callback is resumed': resumingAlone,
  'heeds a pause in an instance that starts later': { store: new ForgettingStore() },
  'tells since when a callback is paused, also where nothing lies there, and pausing it again changes nothing': (
    engine,
  ) => ({
    pause: async (filter) => {
      const again = await engine.resume!(filter);
      return (await engine.pause!(filter)) - again;
    },
  }),
  'has a callback paused that is declared for the first time, if it is under a former id, and resumes both': {
    store: new FreshStore(),
  },
  'pauses the callbacks that are meant, of an event or all, and tells how many': (engine) => ({
    pause: async ({ callback, ...filter }) => engine.pause!({ callback: callback ?? 'Emails.greet', ...filter }),
  }),
};
