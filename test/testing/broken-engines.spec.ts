/** The contract of engines is itself tested: for each of its rules an engine that breaks it, and no other than that. */
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { DurableEngine, EngineAttempt, NewDelivery } from 'nestjs-callbacks/engine';
import { engineContract, MemoryStore } from 'nestjs-callbacks/testing';
import { uuidv7 } from 'uuidv7';
import type { MemoryTransaction } from '../support/transactional-memory-engine.js';
import {
  apart,
  type Break,
  type Broken,
  byTheLast,
  counting,
  harnessOf,
  numbered,
  performing,
  seen,
  storing,
} from './breaking.js';
import { brokenPostponing } from './broken-postponing.js';
import { brokenPausing } from './broken-pausing.js';
import { brokenTogether } from './broken-together.js';
import { brokenLimits } from './broken-limits.js';
import {
  ChargingStore,
  ForgetfulStore,
  GrudgingStore,
  SparingStore,
  StoreThatStoodStill,
  SuspiciousStore,
} from './broken-stores.js';

const withoutHeaders = (attempt: EngineAttempt): EngineAttempt => ({
  ...attempt,
  delivery: { ...attempt.delivery, headers: undefined },
});

const losingHeaders = (isLost: (attempt: EngineAttempt) => boolean): Break =>
  performing((attempt) => (isLost(attempt) ? withoutHeaders(attempt) : {}));

const broken: Record<string, Break | Broken> = {
  ...brokenPostponing,
  'performs what is stored, with event, callback, key and arguments as they were': storing((deliveries) =>
    deliveries.map((delivery) => ({ ...delivery, key: undefined })),
  ),
  'performs a large delivery': storing((deliveries) =>
    deliveries.map((delivery) => ({
      ...delivery,
      arguments: delivery.arguments.map((one) => (typeof one === 'string' ? one.slice(0, 65_536) : one)),
    })),
  ),
  'performs each delivery once, and forgets it': (engine) => ({
    work: (callback, perform) =>
      engine.work(callback, async (attempt) => {
        await perform(attempt);
        await perform(attempt);
      }),
  }),
  'performs what was stored before anybody worked, and by an instance that does not work': (engine) => {
    let works = false;
    return {
      work: (callback, perform) => {
        works = true;
        engine.work(callback, perform);
      },
      store: async (deliveries) => (works ? engine.store(deliveries) : undefined),
    };
  },
  'shares deliveries among instances, each performed by one': (() => {
    const everybody: ((attempt: EngineAttempt) => Promise<void>)[] = [];
    return (engine) => ({
      work: (callback, perform) => {
        everybody.push(perform);
        engine.work(callback, async (attempt) => {
          await Promise.all(everybody.map((one) => one(attempt)));
        });
      },
    });
  })(),
  'keeps the deliveries of one run to several callbacks apart, though they share an id': (() => {
    const isSeen = seen();
    return storing((deliveries) => deliveries.filter(({ id }) => !isSeen(id)));
  })(),
  'stores all or none: one delivery that it cannot take refuses the others with it': (engine) => ({
    store: async (deliveries) => {
      for (const delivery of deliveries) await engine.store([delivery]);
    },
  }),
  'stores the runs that come at the same moment as one that it cannot take': (engine) => {
    let together: { deliveries: NewDelivery[]; stored: Promise<void> } | undefined;
    return {
      store: (deliveries) => {
        if (!together) {
          const batch: NewDelivery[] = [];
          const stored = Promise.resolve().then(() => {
            together = undefined;
            return engine.store(batch);
          });
          together = { deliveries: batch, stored };
        }
        together.deliveries.push(...deliveries);
        return together.stored;
      },
    };
  },
  'passes over an id that it has stored already, waiting, running or done': (() => {
    const isSeen = seen();
    return storing((deliveries) =>
      deliveries.map((delivery) => (isSeen(delivery.id) ? { ...delivery, id: uuidv7() } : delivery)),
    );
  })(),
  'holds a delayed delivery back until its time': storing((deliveries) =>
    deliveries.map((delivery) => ({ ...delivery, delayMs: 0 })),
  ),
  'performs no more at a time in an instance than its concurrency, and as many': (engine) => ({
    work: (callback, perform) => engine.work({ ...callback, concurrency: callback.concurrency + 1 }, perform),
  }),
  'leaves a place to an attempt until its callback is through, though it is settled before': (engine) => ({
    work: (callback, perform) =>
      engine.work(
        callback,
        (attempt) =>
          new Promise((resolve) => {
            const retryIn: EngineAttempt['retryIn'] = (ms, error) => attempt.retryIn(ms, error).finally(resolve);
            void perform({ ...attempt, retryIn }).finally(resolve);
          }),
      ),
  }),
  'goes on with what waits though nobody waits for how attempts are settled': (engine) => ({
    work: (callback, perform) =>
      engine.work(callback, async (attempt) => {
        let isThrough = false;
        const bury: EngineAttempt['bury'] = (error) =>
          new Promise(setImmediate).then(() => (isThrough ? false : attempt.bury(error)));
        await perform({ ...attempt, bury });
        isThrough = true;
      }),
  }),
  'lets one callback go on though another is busy': (engine) => {
    let last: Promise<unknown> = Promise.resolve();
    return {
      work: (callback, perform) =>
        engine.work(callback, (attempt) => (last = last.then(() => perform(attempt))) as Promise<void>),
    };
  },
  'brings the headers of a delivery to its attempt and to lists, and none where it has none': storing((deliveries) =>
    deliveries.map(({ headers = {}, ...delivery }) => ({ ...delivery, headers })),
  ),
  'brings the same headers to each attempt: tried again, released, dead and retried': losingHeaders(
    ({ attempt }) => attempt > 1,
  ),
  'keeps what the application calls a delivery: for each attempt, and for who looks into it': (engine) => ({
    list: async (query) => {
      const page = await engine.list(query);
      return { ...page, found: page.found.map((kept) => ({ ...kept, givenId: undefined })) };
    },
  }),
  'brings the same headers to the attempt that follows when an instance has died': losingHeaders(
    ({ attempt, charged }) => charged < attempt,
  ),
  'leaves the headers to deliveries that a callback has from a former id, waiting and dead': (engine) => ({
    work: (callback, perform) =>
      engine.work(callback, (attempt) => perform(callback.formerly.length > 0 ? withoutHeaders(attempt) : attempt)),
  }),
  'tries again after the delay that was asked for, counting attempts, and leaves the others alone': performing(
    (attempt) => ({ retryIn: (_ms, error) => attempt.retryIn(0, error) }),
  ),
  'keeps a dead delivery with its error, and performs it no more': performing((attempt) => ({
    bury: (error) => attempt.bury({ ...error, cause: undefined }),
  })),
  'retries dead deliveries with all their attempts before them: those asked for': (engine) => ({
    retry: (filter, portion) => engine.retry({ ...filter, ids: undefined }, portion),
  }),
  'retries the dead in portions, and none that dies again twice in a series': (engine) => ({
    retry: (filter, { limit }) => engine.retry(filter, { limit }),
  }),
  'discards dead and waiting deliveries, and leaves running ones alone': (engine) => ({
    discard: async (filter, portion) => {
      const dead = await engine.list({ ...filter, state: 'dead', limit: 10 });
      return engine.discard({ ...filter, ids: dead.found.map(({ id }) => id) }, portion);
    },
  }),
  'gives back a delivery that was broken off at once, and the attempt does not count': performing((attempt) => ({
    release: () => attempt.retryIn(0, { name: 'Error', message: 'broken off' }),
  })),
  'says of an attempt that is settled already that it does not hold any more': performing((attempt) => ({
    bury: async (error) => (await attempt.bury(error)) || true,
  })),
  'counts by callback': counting((count) => ({ delayed: 0, waiting: count.waiting + count.delayed })),
  'says that it has counted exactly where there are few': counting(() => ({ isExact: false })),
  'tells since when the oldest of what waits is due, whatever is delayed or runs beside it': counting((count) => ({
    oldestDueAt: count.waiting > 0 ? new Date() : undefined,
  })),
  'tells since when the oldest of what waits is due, also where an earlier one of its key holds it up': counting(
    ({ dead, oldestDueAt }) => ({
      oldestDueAt: dead > 0 ? undefined : oldestDueAt,
    }),
  ),
  'lists the deliveries of a state in the order of storing, whatever their ids, page by page': (engine) => ({
    list: async (query) => {
      const { found } = await engine.list({ ...query, after: undefined, limit: 1_000 });
      return numbered(
        [...found].sort((one, other) => (one.id < other.id ? -1 : 1)),
        query,
      );
    },
  }),
  'lists what stays in a state once, though others enter and leave it between the pages': (engine) => ({
    list: async (query) => numbered((await engine.list({ ...query, after: undefined, limit: 1_000 })).found, query),
  }),
  'lists the deliveries of ordered callbacks page by page like any others': (engine) => ({
    list: (query) => engine.list({ ...query, after: undefined }),
  }),
  'refuses a cursor that no list of the state has given': (engine) => ({
    list: (query) => engine.list(query).catch(() => engine.list({ ...query, after: undefined })),
  }),
  'leaves the deliveries of callbacks that an instance does not know to others, and counts them': (engine) => {
    const known = new Set<string>();
    return {
      declare: (callbacks) => {
        for (const { callback } of callbacks) known.add(callback);
        return engine.declare(callbacks);
      },
      counts: async () => (await engine.counts()).filter(({ callback }) => known.has(callback)),
    };
  },
  'hands on what waits or is dead under a former id, also what an older instance stores later': (engine) => ({
    declare: (callbacks) => engine.declare(callbacks.map((callback) => ({ ...callback, formerly: [] }))),
  }),
  'tells which callbacks instances have declared, and whether these are ordered': (engine) => {
    const own = new Set<string>();
    return {
      declare: (callbacks) => {
        for (const { callback } of callbacks) own.add(callback);
        return engine.declare(callbacks);
      },
      addresses: async () => (await engine.addresses()).filter(({ callback }) => own.has(callback)),
    };
  },
  "changes nothing of another application's ordered callback when it stores for it": (engine) => ({
    declare: (callbacks) =>
      engine.declare(callbacks.map((one) => (one.isRemote ? { ...one, isRemote: false, isOrdered: false } : one))),
  }),
  'tells a callback that its own application has declared from one that only others have named': (engine) => ({
    addresses: async () => (await engine.addresses()).map((address) => ({ ...address, isRemote: false })),
  }),
  'starts and declares in several instances at the same moment, and again': (() => {
    let isStarting = false;
    return (engine) => ({
      start: async (host) => {
        if (isStarting) throw new Error('the schema is being made by somebody else');
        isStarting = true;
        await Promise.resolve();
        await engine.start(host);
        isStarting = false;
      },
    });
  })(),
  'takes no more after stopWorking(), while what runs goes on and settles': () => ({ stopWorking: async () => {} }),
  'has what an instance left unfinished performed by another once the claim has run out': { leaseMs: 3_600_000 },
  'keeps others from a delivery as long as its instance lives, however long it takes': {
    store: new ForgetfulStore(true),
  },
  'keeps the claims of an instance while a transaction completes one of them, however long that is open': (() => {
    const store = new ForgetfulStore(false);
    const breaking = performing((attempt) => ({
      completeIn: async (transaction) => {
        await attempt.completeIn(transaction);
        store.isForgetful = true;
      },
    }));
    return { store, breaking };
  })(),
  'aborts the signal of an attempt before another instance begins with its delivery': performing(({ signal }) => {
    const late = new AbortController();
    signal.addEventListener('abort', () => setTimeout(() => late.abort(), 100));
    return { signal: late.signal };
  }),
  'tells an attempt that its claim has run out, and does not let it settle': performing((attempt) => ({
    complete: async () => (await attempt.complete()) || true,
  })),
  'does not charge an attempt that ended with its instance, the first time': { store: new SuspiciousStore() },
  'performs the first of what came back from a dead instance alone, over all callbacks, beside what was never there, and then more at a time':
    (() => {
      const store = new MemoryStore();
      return { store, breaking: apart(store) };
    })(),
  'lets a delivery die alone whose instance dies each time, and charges the others nothing': {
    store: new SparingStore(),
  },
  'counts neither an attempt that was released nor one that never began': { store: new ChargingStore() },
  'lets no attempt of an earlier claim settle, or keep, what the same instance has claimed again': byTheLast(
    (last) => ({ bury: (error) => last().bury(error) }),
  ),
  'lets no attempt of an earlier claim complete in a transaction what the same instance has claimed again': byTheLast(
    (last) => ({ completeIn: (transaction) => last().completeIn(transaction) }),
  ),
  'suspects a delivery no more that has failed since': { store: new GrudgingStore() },
  'performs the deliveries of a key one at a time, in the order in which they were stored, retries included': (
    engine,
  ) => ({
    work: (callback, perform) => engine.work({ ...callback, isOrdered: false }, perform),
  }),
  'holds up a key whose delivery waits for its next attempt or is dead, and no other key': (engine) => ({
    store: (deliveries) => engine.store(deliveries.map((delivery) => ({ ...delivery, key: 'the only one' }))),
  }),
  'goes on with a key whose dead delivery was discarded': () => ({
    discard: async ({ ids }) => ({ count: ids?.length ?? 0 }),
  }),
  'lets a delayed delivery of a key take its place when its delay is over': (() => {
    const delays = new Map<string | undefined, number>();
    return storing((deliveries) =>
      deliveries.map((delivery) => {
        const delayMs = Math.max(delivery.delayMs, delays.get(delivery.key) ?? 0);
        delays.set(delivery.key, delayMs);
        return { ...delivery, delayMs };
      }),
    );
  })(),
  'orders overlapping transactions by which stored first of the key, whichever began first': (engine) => ({
    store: async (deliveries, transaction) => {
      if (!transaction) return engine.store(deliveries);
      (transaction as MemoryTransaction).onCommit.push(() => engine.store(deliveries));
    },
  }),
  'stores in a transaction: the deliveries are there when it commits, and not before': (engine) => ({
    store: (deliveries) => engine.store(deliveries),
  }),
  'stores nothing of a transaction that is rolled back': (engine) => ({
    store: async (deliveries, transaction) => {
      (transaction as MemoryTransaction).onEnd.push(() => void engine.store(deliveries));
    },
  }),
  'refuses a transaction that has ended, and stores nothing': (engine) => ({
    store: (deliveries, transaction) =>
      engine.store(deliveries, (transaction as MemoryTransaction | undefined)?.hasEnded ? undefined : transaction),
  }),
  'leaves a transaction usable that stores an id again': (() => {
    const isSeen = seen();
    return (engine) => ({
      store: async (deliveries, transaction) => {
        if (isSeen(deliveries[0].id)) throw new Error('duplicate key value violates unique constraint');
        await engine.store(deliveries, transaction);
      },
    });
  })(),
  'completes a delivery with the transaction of its callback, and only if that commits': performing((attempt) => ({
    completeIn: async () => void (await attempt.complete()),
  })),
  'refuses to complete a delivery in a transaction that has ended, and leaves it as it was': performing((attempt) => ({
    completeIn: async (transaction) => {
      if (!(transaction as MemoryTransaction).hasEnded) return attempt.completeIn(transaction);
      await attempt.complete();
    },
  })),
  'refuses to complete a delivery twice': performing((attempt) => ({
    completeIn: (transaction) => attempt.completeIn(transaction).catch(() => {}),
  })),
  'does not complete a delivery in a transaction when the claim on it is gone': performing(() => ({
    completeIn: async () => {},
  })),
  'keeps the order of a key within one transaction': (engine) => ({
    store: async (deliveries, transaction) => {
      if (!transaction) return engine.store(deliveries);
      (transaction as MemoryTransaction).onCommit.unshift(() => engine.store(deliveries));
    },
  }),
  'keeps the order of the calls within one transaction, also of those that wait for none before them': (engine) => {
    let calls = 0;
    return {
      store: async (deliveries, transaction) => {
        // As if each second one were larger, and took longer to be written.
        if (++calls % 2 === 0) await new Promise(setImmediate);
        await engine.store(deliveries, transaction);
      },
    };
  },
  'gives the duty to one of the instances that work, and to none that does not': (engine) => {
    let works = false;
    return {
      get hasDuty() {
        return works;
      },
      work: (callback, perform) => {
        works = true;
        engine.work(callback, perform);
      },
    };
  },
  'gives the duty to another instance when the one that has it stops, or dies': (() => {
    let first: DurableEngine | undefined;
    return (engine) => ({
      get hasDuty() {
        if (engine.hasDuty) first ??= engine;
        return engine.hasDuty && engine === first;
      },
    });
  })(),
  ...brokenPausing,
  ...brokenLimits,
  ...brokenTogether,
};

type Check = PromiseSettledResult<void>;

/** For what a broken engine will never do. */
const BROKEN_PATIENCE_MS = 3_000;

describe('The contract', () => {
  /** Those on searching and on the history have a spec of their own. */
  const rules = engineContract.filter(({ needs }) => !needs.some((need) => need === 'search' || need === 'history'));
  let sound: Check[];
  let found: Check[];
  // All at once: much of a check is waiting.
  beforeAll(async () => {
    const checks = rules.flatMap(({ title, check }) => {
      const one = broken[title];
      const harness = harnessOf(typeof one === 'function' ? { breaking: one } : one);
      return [check(harnessOf({})), check({ ...harness, patienceMs: BROKEN_PATIENCE_MS })];
    });
    const results = await Promise.allSettled(checks);
    sound = results.filter((_, index) => index % 2 === 0);
    found = results.filter((_, index) => index % 2 === 1);
  });

  it('has a broken engine for each rule', () => {
    expect(Object.keys(broken).toSorted()).toEqual(rules.map(({ title }) => title).toSorted());
  });

  it('is kept by an engine whose store stands still for as long as a claim lasts', async () => {
    const store = new StoreThatStoodStill();
    const breaking: Break = (engine) => ({
      store: async (deliveries, transaction) => {
        await store.stillness;
        await engine.store(deliveries, transaction);
      },
    });
    const { check } = engineContract.find(({ title }) => title.startsWith('keeps others from a delivery'))!;
    await check(harnessOf({ breaking, store }));
    expect(store.stillness).toBeDefined();
  });

  it('catches an engine that reports problems while there are none, by any rule', async () => {
    const reporting: Break = (engine) => ({
      start: async (host) => {
        await engine.start(host);
        host.report('The store does not work', new Error('no answer'));
      },
    });
    const checks = await Promise.allSettled(
      engineContract.slice(0, 3).map(({ check }) => check(harnessOf({ breaking: reporting }))),
    );
    const expected = expect.stringContaining('a problem was reported where there was none');
    expect(checks).toEqual(
      checks.map(() => ({ status: 'rejected', reason: expect.objectContaining({ message: expected }) })),
    );
  });

  describe.each(rules.map(({ title }, index) => [title, index] as const))(
    'has the rule that an engine %s, and',
    (_, index) => {
      it('lets a sound engine pass', () => {
        expect(sound[index]).toEqual({ status: 'fulfilled', value: undefined });
      });

      it('catches one that breaks it', () => {
        expect(found[index].status).toBe('rejected');
        // Not a TypeError, by which a check would merely have stumbled.
        expect(['AssertionError', 'Error']).toContain((found[index] as PromiseRejectedResult).reason.name);
      });
    },
  );
});
