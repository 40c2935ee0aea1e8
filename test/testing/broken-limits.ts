/** Engines that break a rule of limits. */
import { type CallbackLimits, type DurableEngine, timers } from 'nestjs-callbacks/engine';
import { type Break, performing } from './breaking.js';

/** Longer than the contract waits for a broken engine; then the process may end. */
const TURNS = 1_000;

/** An engine that keeps other limits than it was told. */
const limiting =
  (change: (limits: CallbackLimits) => CallbackLimits): Break =>
  (engine) => ({
    work: ({ limits, ...callback }, perform) =>
      engine.work({ ...callback, ...(limits && { limits: change(limits) }) }, perform),
  });

/** An attempt has its place until it ends, though its instance is gone. */
const unending = (): Break => {
  let running = 0;
  return (engine: DurableEngine) => ({
    work: (callback, perform) =>
      engine.work(callback, async (attempt) => {
        const { running: most = Infinity } = callback.limits ?? {};
        for (let turn = 0; running >= most && turn < TURNS; turn++) await timers.sleep(5);
        running++;
        await perform(attempt);
        running--;
      }),
  });
};

/** Who has once begun takes the place with it. */
const leaving = (): Break => {
  let holder: DurableEngine | undefined;
  return (engine) => ({
    work: (callback, perform) =>
      engine.work(callback, async (attempt) => {
        if (callback.limits) holder ??= engine;
        for (let turn = 0; holder !== undefined && holder !== engine && turn < TURNS; turn++) await timers.sleep(5);
        await perform(attempt);
      }),
  });
};

export const brokenLimits: Record<string, Break> = {
  'begins no more attempts in any window than the rate of a callback lets, over all instances': limiting(
    ({ rate, ...rest }) => ({ ...rest, ...(rate && { rate: { ...rate, limit: rate.limit + 1 } }) }),
  ),
  'has no more attempts of a callback running than its limit, over all instances, and as many': limiting(
    ({ running, ...rest }) => ({ ...rest, ...(running !== undefined && { running: running + 1 }) }),
  ),
  'charges nothing for a limit: what was held up by it begins as its first attempt': (() => {
    let begun = 0;
    return performing(({ attempt }) => ({ attempt: ++begun > 6 ? attempt + 1 : attempt }));
  })(),
  'counts what runs under former ids, too': (engine) => ({
    work: (callback, perform) => engine.work({ ...callback, formerly: [] }, perform),
  }),
  'takes a place that falls free when an attempt fails, or its instance stops working': leaving(),
  'takes the place of an instance that is cut off when its claim has run out': unending(),
  'has no more attempts of a group running than its limit, over all instances; and what has no group is one, too':
    limiting(({ groups, ...rest }) => ({ ...rest, ...(groups && { groups: { ...groups, running: 3 } }) })),
  'goes on with other groups while one is full, whatever waits in it': limiting(({ groups, ...rest }) => ({
    ...rest,
    ...(groups && { running: groups.running }),
  })),
  'tells groups by the key of a delivery, if they are to be told by that': limiting(({ groups, ...rest }) => ({
    ...rest,
    ...(groups && { groups: { ...groups, by: `x-${groups.by}` } }),
  })),
};
