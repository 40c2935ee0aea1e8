/** The contract of engines, tested: for each rule on searching and on the history an engine that breaks it. */
import { describe, expect, it } from '@jest/globals';
import type { DeliveryFilter, KeptDelivery } from 'nestjs-callbacks/engine';
import { engineContract } from 'nestjs-callbacks/testing';
import { type Break, harnessOf, performing } from './breaking.js';

/** An engine that does not see what some fields of a filter say. */
const blindTo =
  (...fields: (keyof DeliveryFilter)[]): Break =>
  (engine) => {
    const seen = <Filter extends DeliveryFilter>(filter: Filter): Filter => ({
      ...filter,
      ...Object.fromEntries(fields.map((field) => [field, undefined])),
    });
    return {
      list: (query) => engine.list(seen(query)),
      retry: (filter, portion) => engine.retry(seen(filter), portion),
      discard: (filter, portion) => engine.discard(seen(filter), portion),
    };
  };

/** An engine that changes what it lists. */
const listing =
  (change: (found: readonly KeptDelivery[]) => readonly KeptDelivery[]): Break =>
  (engine) => ({
    list: async (query) => {
      const page = await engine.list(query);
      return { ...page, found: change(page.found) };
    },
  });

const remembering = (change: (history: NonNullable<KeptDelivery['history']>) => KeptDelivery['history']): Break =>
  listing((found) => found.map((one) => ({ ...one, history: change(one.history ?? []) })));

/** By the titles of the rules: the engines that each of them catches. */
const broken: Record<string, Break[]> = {
  'finds what waits by key and headers, page by page, each once, and says how much it has looked at': [
    blindTo('key'),
    blindTo('headers'),
    // It looks for the beginning of a key.
    (engine) => ({
      list: async (query) => {
        const page = await engine.list({ ...query, key: undefined });
        return { ...page, found: page.found.filter(({ key }) => key!.startsWith(query.key ?? '')) };
      },
    }),
    // It has found nothing, and says that there is no more.
    (engine) => ({
      list: async (query) => {
        const { found, scanned } = await engine.list({ ...query, limit: 3 });
        return { found: found.slice(0, query.limit), scanned };
      },
    }),
    // It begins anew with each page.
    (engine) => ({ list: (query) => engine.list({ ...query, after: undefined }) }),
    (engine) => ({ list: async (query) => ({ ...(await engine.list(query)), scanned: 0 }) }),
  ],
  'finds dead deliveries by the code and by the text of their errors, in whatever case': [
    blindTo('errorCode'),
    blindTo('errorText'),
    (engine) => ({
      list: async ({ errorText, ...query }) => {
        const page = await engine.list(query);
        return { ...page, found: page.found.filter(({ error }) => error!.message.includes(errorText ?? '')) };
      },
    }),
  ],
  'finds deliveries by when they were stored, and when they died: from a time, up to another': [
    blindTo('storedAfter'),
    blindTo('storedBefore'),
    blindTo('endedAfter'),
    blindTo('endedBefore'),
    // It takes a time by when they were stored, whatever it is of.
    (engine) => ({
      list: ({ endedAfter, endedBefore, ...query }) =>
        engine.list({ storedAfter: endedAfter, storedBefore: endedBefore, ...query }),
    }),
  ],
  'lists the newest first, page by page, what is due and what is delayed': [
    (engine) => ({ list: (query) => engine.list({ ...query, order: 'oldest' }) }),
    // It turns around each page, and not the list.
    (engine) => ({
      list: async (query) => {
        const page = await engine.list({ ...query, order: 'oldest' });
        return { ...page, found: page.found.toReversed() };
      },
    }),
  ],
  'lists completed deliveries with what they carried, in the order of completion, and no others': [
    listing((found) => found.map((one) => ({ ...one, arguments: [] }))),
    (engine) => ({ list: (query) => engine.list(query.state === 'completed' ? { ...query, state: 'dead' } : query) }),
    // It forgets what is completed.
    listing((found) => found.filter(({ state }) => state !== 'completed')),
  ],
  'retries the dead that a filter means, in portions, and no others': [
    blindTo('errorCode'),
    (engine) => ({ retry: async (filter, portion) => ({ count: (await engine.retry(filter, portion)).count }) }),
  ],
  'discards what waits or is dead and fits a filter, in portions, and nothing else': [
    blindTo('key'),
    blindTo('errorCode'),
    (engine) => ({ discard: (filter, { limit }) => engine.discard(filter, { limit }) }),
    (engine) => ({ discard: async (filter, portion) => ({ count: (await engine.discard(filter, portion)).count }) }),
  ],
  'counts what has died and what was completed within the last hour': [
    (engine) => ({
      counts: async () => (await engine.counts()).map((count) => ({ ...count, lastHour: undefined })),
    }),
    // It counts only where something is left.
    (engine) => ({
      counts: async () => (await engine.counts()).filter(({ dead, running, waiting }) => dead + running + waiting > 0),
    }),
  ],
  'remembers the last ten failures of a delivery, in their order, each with its time and its instance': [
    remembering((history) => history.slice(-1)),
    remembering((history) => history.toReversed()),
    remembering((history) => history.map((one) => ({ ...one, instance: 'somewhere' }))),
    remembering((history) => history.map((one) => ({ ...one, at: new Date(0) }))),
  ],
  'remembers what failed before a dead delivery was retried, and no more than the beginning of a long message': [
    remembering((history) => history.slice(-1)),
    remembering((history) => history.map((one) => ({ ...one, message: one.message.repeat(2) }))),
  ],
  'remembers nothing of what was broken off, or has not failed': [
    performing((attempt) => ({ release: () => attempt.retryIn(0, { name: 'Error', message: 'broken off' }) })),
  ],
};

describe('A rule of the contract catches an engine that breaks it', () => {
  const rules = engineContract.filter(({ needs }) => needs.some((need) => need === 'search' || need === 'history'));

  it('which there is for each rule on searching and on the history', () => {
    expect(Object.keys(broken).toSorted()).toEqual(rules.map(({ title }) => title).toSorted());
  });

  it.each(Object.entries(broken))('%s', async (title, breaks) => {
    const { check } = rules.find((one) => one.title === title)!;
    for (const breaking of breaks) {
      const checked = check({ ...harnessOf({ breaking }), patienceMs: 300 });
      // Not a TypeError, by which a check would merely have stumbled.
      await expect(checked).rejects.toMatchObject({ name: 'AssertionError' });
    }
    await check(harnessOf({}));
  });
});
