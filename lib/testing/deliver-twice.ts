import type { DurableEngine, EngineAttempt, EngineFactory } from '../engine/index.js';

/**
 * An engine whose every delivery is performed a second time after it has succeeded, as if its instance had died before it
 * could say so. One that its callback completes in a transaction of its own is not: that is what completing there is for.
 */
export const deliveredTwice =
  (factory: EngineFactory): EngineFactory =>
  () => {
    const engine = factory();
    const repeated = new Set<string>();
    const work: DurableEngine['work'] = (callback, perform) =>
      engine.work(callback, (attempt) => perform(onceMore(attempt, repeated)));
    return new Proxy(engine, {
      get: (target, name) => {
        const member = Reflect.get(target, name, target) as unknown;
        if (name === 'work') return work;
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
  };

function onceMore(attempt: EngineAttempt, repeated: Set<string>): EngineAttempt {
  const { event, callback, id } = attempt.delivery;
  const delivery = JSON.stringify([event, callback, id]);
  let isCompletedElsewhere = false;
  const changed: Partial<EngineAttempt> = {
    completeIn: async (transaction) => {
      await attempt.completeIn(transaction);
      isCompletedElsewhere = true;
    },
    complete: () => {
      if (isCompletedElsewhere || repeated.delete(delivery)) return attempt.complete();
      repeated.add(delivery);
      // Not a failure, which would cost one of its attempts.
      return attempt.release();
    },
  };
  // It may have its methods from a class.
  return Object.assign(Object.create(attempt) as EngineAttempt, changed);
}
