import assert from 'node:assert/strict';
import { uuidv7 } from 'uuidv7';
import { type KeptDelivery, timers } from '../../engine/index.js';
import { type ContractRule, error, FAR_MS, rule } from './scene.js';

const { sleep } = timers;

/** Counting and listing; callbacks that are unknown, renamed, or declared twice. */
export const keepingRules: readonly ContractRule[] = [
  rule('counts by callback', async (scene) => {
    const callback = scene.callback('Emails.greet', { concurrency: 1 });
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback, async (attempt) =>
      attempt.delivery.arguments[0] === 'dead' ? attempt.bury(error) : sleep(60_000, undefined, { ref: false }),
    );
    await engine.store([scene.delivery({ arguments: ['dead'] })]);
    await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
    await engine.store([scene.delivery()]);
    await attempts.begun(2);
    await engine.store([scene.delivery(), scene.delivery(), scene.delivery({ delayMs: FAR_MS })]);
    assert.deepEqual(await scene.counts(engine), { waiting: 2, delayed: 1, running: 1, dead: 1 });
  }),

  rule('lists deliveries by state, in the order of their ids, page by page', async (scene) => {
    const callbacks = [scene.callback('A.a'), scene.callback('B.b')];
    const engine = await scene.open(...callbacks);
    const ids = [uuidv7(), uuidv7(), uuidv7()];
    for (const id of [ids[1], ids[2], ids[0]]) {
      await engine.store(callbacks.map(({ callback }) => scene.delivery({ id, callback, delayMs: FAR_MS })));
    }
    const query = { ...scene.filter(), states: ['waiting'] as const };
    const short = ({ id, callback }: { id: string; callback: string }) => `${ids.indexOf(id)} ${callback}`;
    const first = await engine.list({ ...query, limit: 3 });
    const second = await engine.list({ ...query, limit: 3, after: first[2] });
    assert.deepEqual([...first, ...second].map(short), ['0 A.a', '0 B.b', '1 A.a', '1 B.b', '2 A.a', '2 B.b']);
    assert.deepEqual(await engine.list({ ...query, limit: 3, after: second[2] }), []);
    const some = await engine.list({ ...query, callback: 'B.b', ids: [ids[2]], limit: 3 });
    assert.deepEqual(some.map(short), ['2 B.b']);
    assert.ok(some[0].since.getTime() > Date.now(), 'since is not when it will be due');
    assert.deepEqual(await engine.list({ ...query, states: ['dead'], limit: 3 }), []);
  }),

  rule('lists several states as of one moment: what goes from one to another is there, once', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const delivery = scene.delivery();
    let isDone = false;
    const attempts = scene.attempts(engine, callback, async (attempt) => {
      await sleep(2);
      await (isDone ? attempt.complete() : attempt.retryIn(2, error));
    });
    await engine.store([delivery]);
    const query = { ...scene.filter(), states: ['waiting', 'running'] as const, limit: 3 };
    let hasGoneOften = false;
    const listAgainAndAgain = async () => {
      for (let times = 0; times < 10 || !hasGoneOften; times++) {
        await sleep(1);
        const listed = await engine.list(query);
        assert.deepEqual(
          listed.map(({ id }) => id),
          [delivery.id],
        );
        assert.ok((query.states as readonly string[]).includes(listed[0].state), 'it is listed in no state asked for');
      }
    };
    const goesOften = attempts.begun(10).finally(() => (hasGoneOften = true));
    await Promise.all([goesOften, ...Array.from({ length: 5 }, listAgainAndAgain)]);
    isDone = true;
    await scene.until('it is done', async () => (await engine.list(query)).length === 0);
  }),

  rule(
    'lists the deliveries of ordered callbacks page by page like any others',
    async (scene) => {
      const callbacks = [scene.callback('A.a', { isOrdered: true }), scene.callback('B.b')];
      const engine = await scene.open(...callbacks);
      const ids = [uuidv7(), uuidv7()];
      for (const id of ids) {
        const stored = callbacks.map(({ callback }) => scene.delivery({ id, callback, key: id, delayMs: FAR_MS }));
        await engine.store(stored);
      }
      const listed: string[] = [];
      let after: KeptDelivery | undefined;
      // One more than there are pages.
      for (let page = 0; page < 5; page++) {
        const query = { ...scene.filter(), states: ['waiting'] as const, limit: 1, ...(after && { after }) };
        [after] = await engine.list(query);
        if (!after) break;
        listed.push(`${ids.indexOf(after.id)} ${after.callback}`);
      }
      assert.deepEqual(listed, ['0 A.a', '0 B.b', '1 A.a', '1 B.b']);
    },
    'order',
  ),

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
    assert.equal(await newer.retry(scene.filter({ callback: 'Emails.greet' })), 1);
    await attempts.begun(4);
    assert.equal(attempts.ids[3], dead.id);
    assert.equal(burying.all.length, 1);
  }),

  rule('starts and declares in several instances at the same moment, and again', async (scene) => {
    const callback = scene.callback();
    const engines = await Promise.all(Array.from({ length: 4 }, () => scene.open(callback)));
    await engines[0].declare([callback, scene.callback('Bot.announce')]);
    await engines[0].store([scene.delivery(), scene.delivery({ callback: 'Bot.announce' })]);
    await scene.attempts(engines[3], callback).begun(1);
  }),
];
