import type { DurableEngine, EngineAttempt, EngineFactory } from '../engine/index.js';

/**
 * Makes an engine that performs every delivery a second time after it has succeeded, as if its instance had died before it
 * could say so. A delivery that its callback completes in a transaction is performed once: completing there is for that.
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
      // A failure would cost the delivery one of its attempts.
      return attempt.release();
    },
  };
  // An attempt may have its methods from a class, where a spread would miss them.
  return Object.assign(Object.create(attempt) as EngineAttempt, changed);
}
