import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { DurableEngine } from '../../engine/index.js';
import { allPages, idsOf, pages } from './paging.js';
import { type ContractRule, rule } from './rule.js';
import { error, FAR_MS, same } from './scene.js';

/** Listing; callbacks that are unknown, renamed, or declared twice. */
export const keepingRules: readonly ContractRule[] = [
  rule('lists the deliveries of a state in the order of storing, whatever their ids, page by page', async (scene) => {
    const callbacks = [scene.callback('A.a'), scene.callback('B.b')];
    const engine = await scene.open(...callbacks);
    const ids = Array.from({ length: 8 }, () => randomUUID());
    for (const id of ids) {
      await engine.store(callbacks.map(({ callback }) => scene.delivery({ id, callback, delayMs: FAR_MS })));
    }
    const query = { ...scene.filter(), state: 'waiting' as const };
    const listed = await allPages(engine, { ...query, limit: 3 });
    for (const { callback } of callbacks) same(idsOf(listed.filter((one) => one.callback === callback)), ids);
    assert.equal(listed.length, 16);
    const some = { ...query, callback: 'B.b', ids: [ids[5], ids[2]] };
    const first = await engine.list({ ...some, limit: 1 });
    same(idsOf(first.found), [ids[2]]);
    const rest = await engine.list({ ...some, limit: 3, after: first.after });
    same([idsOf(rest.found), rest.after], [[ids[5]], undefined]);
    assert.ok(first.found[0].since.getTime() > Date.now(), 'since is not when it will be due');
    assert.deepEqual((await engine.list({ ...query, state: 'dead', limit: 3 })).found, []);
  }),

  rule('lists what stays in a state once, though others enter and leave it between the pages', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const store = async () => {
      const delivery = scene.delivery({ delayMs: FAR_MS });
      await engine.store([delivery]);
      return delivery.id;
    };
    const ids: string[] = [];
    for (let times = 0; times < 8; times++) ids.push(await store());
    const gone = [ids[0], ids[2], ids[6]];
    const listed: string[] = [];
    const query = { ...scene.filter(), state: 'waiting' as const, limit: 3 };
    for await (const page of pages(engine, query)) {
      listed.push(...idsOf(page));
      if (listed.length === 3) await scene.discard(engine, gone);
      if (listed.length === 3) await store();
    }
    const stayed = ids.filter((id) => !gone.includes(id));
    same(
      listed.filter((id) => stayed.includes(id)),
      stayed,
    );
  }),

  rule(
    'lists the deliveries of ordered callbacks page by page like any others',
    async (scene) => {
      const callbacks = [scene.callback('A.a', { isOrdered: true }), scene.callback('B.b')];
      const engine = await scene.open(...callbacks);
      const ids = [randomUUID(), randomUUID(), randomUUID()];
      for (const id of ids) {
        const stored = callbacks.map(({ callback }) => scene.delivery({ id, callback, key: id, delayMs: FAR_MS }));
        await engine.store(stored);
      }
      const listed = await allPages(engine, { ...scene.filter(), state: 'waiting', limit: 1 });
      for (const { callback } of callbacks) same(idsOf(listed.filter((one) => one.callback === callback)), ids);
      assert.equal(listed.length, 6);
    },
    'order',
  ),

  rule('refuses a cursor that no list of the state has given', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    await engine.store([scene.delivery({ delayMs: FAR_MS }), scene.delivery({ delayMs: FAR_MS })]);
    const query = { ...scene.filter(), limit: 1 };
    const { after } = await engine.list({ ...query, state: 'waiting' });
    const refused = { name: 'CursorRefusedError' };
    await assert.rejects(engine.list({ ...query, state: 'waiting', after: 'the second page' }), refused);
    await assert.rejects(engine.list({ ...query, state: 'dead', after }), refused);
  }),

  rule(
    'leaves the deliveries of callbacks that an instance does not know to others, and counts them',
    async (scene) => {
      const [known, unknown] = [scene.callback('Emails.greet'), scene.callback('Bot.announce')];
      const older = await scene.open(known, unknown);
      const newer = await scene.open(known);
      const attempts = scene.attempts(newer, known);
      await older.store([scene.delivery({ callback: 'Bot.announce' }), scene.delivery()]);
      await attempts.begun(1);
      await attempts.nothingFor();
      assert.deepEqual(await scene.counts(newer, 'Bot.announce'), { waiting: 1, delayed: 0, running: 0, dead: 0 });
      await scene.attempts(older, unknown).begun(1);
    },
  ),

  rule('hands on what waits or is dead under a former id, also what an older instance stores later', async (scene) => {
    const before = scene.callback('Mails.hello');
    const older = await scene.open(before);
    const dead = scene.delivery({ callback: 'Mails.hello' });
    const burying = scene.attempts(older, before, (attempt) => attempt.bury(error));
    await older.store([dead]);
    await scene.until('it is dead', async () => (await scene.counts(older, 'Mails.hello')).dead === 1);
    await older.stopWorking();
    await older.store([
      scene.delivery({ callback: 'Mails.hello' }),
      scene.delivery({ callback: 'Mails.hello', delayMs: 10 }),
    ]);

    const renamed = scene.callback('Emails.greet', { formerly: ['Mails.hello'] });
    const newer = await scene.open(renamed);
    const attempts = scene.attempts(newer, renamed);
    await attempts.begun(2);
    await older.store([scene.delivery({ callback: 'Mails.hello' })]);
    await attempts.begun(3);
    assert.deepEqual(new Set(attempts.all.map(({ delivery }) => delivery.callback)), new Set(['Emails.greet']));
    assert.equal((await scene.counts(newer)).dead, 1);
    assert.equal(await scene.retry(newer, { callback: 'Emails.greet' }), 1);
    await attempts.begun(4);
    assert.equal(attempts.ids[3], dead.id);
    assert.equal(burying.all.length, 1);
  }),

  rule('tells which callbacks instances have declared, and whether these are ordered', async (scene) => {
    const [own, other] = [scene.callback('Emails.greet'), scene.callback('Bot.announce')];
    await scene.open(own);
    const engine = await scene.open(other);
    const found = (await engine.addresses()).filter(({ event }) => event === own.event);
    const named = (callback: string) => ({ event: own.event, callback, isOrdered: false, isRemote: false });
    assert.deepEqual(
      found.toSorted((one, another) => (one.callback < another.callback ? -1 : 1)),
      [named('Bot.announce'), named('Emails.greet')],
    );
  }),

  rule(
    "changes nothing of another application's ordered callback when it stores for it",
    async (scene) => {
      const own = scene.callback('Emails.greet', { isOrdered: true });
      const worker = await scene.open(own);
      await worker.store([scene.delivery({ key: 'a', arguments: ['first'] })]);
      // Says less of it than its own application does.
      const api = await scene.open(scene.callback('Emails.greet', { isOrdered: true, concurrency: 1, isRemote: true }));
      await api.store([scene.delivery({ key: 'a', arguments: ['second'] })]);
      const addresses = (await api.addresses()).filter(({ event }) => event === own.event);
      assert.deepEqual(addresses, [{ event: own.event, callback: 'Emails.greet', isOrdered: true, isRemote: false }]);
      const attempts = scene.attempts(worker, own);
      await attempts.begun(2);
      assert.deepEqual(
        attempts.all.map(({ delivery }) => delivery.arguments[0]),
        ['first', 'second'],
      );
    },
    'order',
  ),

  rule('tells a callback that its own application has declared from one that only others have named', async (scene) => {
    const own = scene.callback('Emails.greet');
    const remote = { ...own, isRemote: true };
    const isRemote = async (engine: DurableEngine) =>
      (await engine.addresses()).filter(({ event }) => event === own.event).map((address) => address.isRemote);
    const api = await scene.open(remote);
    const other = await scene.open(remote);
    await other.store([scene.delivery()]);
    assert.deepEqual(await isRemote(other), [true]);
    const worker = await scene.open(own);
    assert.deepEqual(await isRemote(api), [false]);
    await scene.attempts(worker, own).begun(1);
    assert.deepEqual(await isRemote(await scene.open(remote)), [false]);
  }),

  rule('starts and declares in several instances at the same moment, and again', async (scene) => {
    const callback = scene.callback();
    const engines = await Promise.all(Array.from({ length: 4 }, () => scene.open(callback)));
    await engines[0].declare([callback, scene.callback('Bot.announce')]);
    await engines[0].store([scene.delivery(), scene.delivery({ callback: 'Bot.announce' })]);
    await scene.attempts(engines[3], callback).begun(1);
  }),
];
