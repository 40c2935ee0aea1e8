import assert from 'node:assert/strict';
import { type Delivery, timers } from '../../engine/index.js';
import { type ContractRule, rule } from './rule.js';
import { error, FAR_MS, same } from './scene.js';

const { sleep } = timers;

const HEADERS: Delivery['headers'] = {
  'correlation-id': '01920000-0000-7000-8000-000000000001',
  tenant: 'Ädä "quoted" \\u0000 \u2028 😀',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  '1': 'a name of digits',
  __proto__x: '',
};

const GIVEN_ID = 'welcome:ada@example.org \u2028 "quoted" 😀';

/** Rules on what stays with a delivery, whatever becomes of it: its headers, and what the application calls it. */
export const headersRules: readonly ContractRule[] = [
  rule('brings the headers of a delivery to its attempt and to lists, and none where it has none', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const attempts = scene.attempts(engine, callback);
    const bare = scene.delivery();
    const put = [scene.delivery({ headers: HEADERS, delayMs: FAR_MS }), scene.delivery({ delayMs: FAR_MS })];
    await engine.store([scene.delivery({ headers: HEADERS })]);
    await engine.store([bare]);
    for (const one of put) await engine.store([one]);
    for (const { delivery } of await attempts.begun(2)) {
      same(delivery.headers ?? 'none', delivery.id === bare.id ? 'none' : HEADERS);
    }
    const listed = (await engine.list({ ...scene.filter(), state: 'waiting', limit: 10 })).found;
    same(
      listed.map(({ headers }) => headers ?? 'none'),
      [HEADERS, 'none'],
    );
  }),

  rule('brings the same headers to each attempt: tried again, released, dead and retried', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const ends = ['retry', 'release', 'bury', 'retry'];
    const attempts = scene.attempts(engine, callback, (attempt) => {
      const end = ends.shift();
      if (end === 'retry') return attempt.retryIn(0, error);
      if (end === 'release') return attempt.release();
      return end === 'bury' ? attempt.bury(error) : attempt.complete();
    });
    await engine.store([scene.delivery({ headers: HEADERS })]);
    await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
    const [dead] = (await engine.list({ ...scene.filter(), state: 'dead', limit: 10 })).found;
    same(dead.headers ?? 'none', HEADERS);
    assert.equal(await scene.retry(engine), 1);
    for (const { delivery } of await attempts.begun(5)) same(delivery.headers ?? 'none', HEADERS);
  }),

  rule('keeps what the application calls a delivery: for each attempt, and for who looks into it', async (scene) => {
    const callback = scene.callback();
    const engine = await scene.open(callback);
    const ends = ['retry', 'release', 'bury'];
    const attempts = scene.attempts(engine, callback, (attempt) => {
      const end = ends.shift();
      if (end === 'retry') return attempt.retryIn(0, error);
      if (end === 'release') return attempt.release();
      return end === 'bury' ? attempt.bury(error) : attempt.complete();
    });
    await engine.store([scene.delivery({ givenId: GIVEN_ID })]);
    await scene.until('it is dead', async () => (await scene.counts(engine)).dead === 1);
    const [dead] = (await engine.list({ ...scene.filter(), state: 'dead', limit: 10 })).found;
    assert.equal(dead.givenId, GIVEN_ID);
    assert.equal(await scene.retry(engine), 1);
    for (const { delivery } of await attempts.begun(4)) assert.equal(delivery.givenId, GIVEN_ID);
    await engine.store([scene.delivery({ delayMs: FAR_MS })]);
    const [waiting] = (await engine.list({ ...scene.filter(), state: 'waiting', limit: 10 })).found;
    assert.equal(waiting.givenId, undefined);
  }),

  rule('brings the same headers to the attempt that follows when an instance has died', async (scene) => {
    const callback = scene.callback();
    const crashed = await scene.openBrief(callback);
    const unfinished = scene.attempts(crashed, callback, () => sleep(60_000, undefined, { ref: false }));
    await crashed.store([scene.delivery({ headers: HEADERS })]);
    await unfinished.begun(1);
    await scene.harness.cutOff(crashed);
    const attempts = scene.attempts(await scene.openBrief(callback), callback);
    const [attempt] = await attempts.begun(1);
    same(attempt.delivery.headers ?? 'none', HEADERS);
  }),

  rule('leaves the headers to deliveries that a callback has from a former id, waiting and dead', async (scene) => {
    const former = scene.callback('Mails.hello');
    const renamed = scene.callback('Emails.greet', { formerly: ['Mails.hello'] });
    const older = await scene.open(former);
    const burying = scene.attempts(older, former, (attempt) => attempt.bury(error));
    await older.store([scene.delivery({ callback: 'Mails.hello', headers: HEADERS })]);
    await burying.begun(1);
    await scene.until('it is dead', async () => (await scene.counts(older, 'Mails.hello')).dead === 1);
    await older.stopWorking();
    await older.store([scene.delivery({ callback: 'Mails.hello', headers: HEADERS })]);

    const newer = await scene.open(renamed);
    const attempts = scene.attempts(newer, renamed);
    await attempts.begun(1);
    assert.equal(await scene.retry(newer, { callback: 'Emails.greet' }), 1);
    for (const { delivery } of await attempts.begun(2)) same(delivery.headers ?? 'none', HEADERS);
  }),
];
