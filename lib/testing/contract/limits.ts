import assert from 'node:assert/strict';
import { type DurableCallback, type DurableEngine, type EngineAttempt, timers } from '../../engine/index.js';
import { type ContractRule, rule } from './rule.js';
import { error, gate, moment, type Scene } from './scene.js';

const { sleep } = timers;

/** The attempts that all instances have begun at deliveries of a callback. */
class Together {
  readonly begins: { readonly at: number; readonly attempt: EngineAttempt }[] = [];
  /** The groups of what runs: the tenants. */
  readonly running: string[] = [];
  most = 0;
  mostOfGroup = 0;

  constructor(
    private readonly scene: Scene,
    engines: readonly DurableEngine[],
    callback: DurableCallback,
    perform: (attempt: EngineAttempt) => Promise<unknown> = () => Promise.resolve(),
  ) {
    for (const engine of engines) {
      scene.attempts(engine, callback, async (attempt) => {
        this.begins.push({ at: performance.now(), attempt });
        const group = attempt.delivery.headers?.tenant ?? '';
        this.running.push(group);
        this.most = Math.max(this.most, this.running.length);
        this.mostOfGroup = Math.max(this.mostOfGroup, this.running.filter((one) => one === group).length);
        await perform(attempt);
        this.running.splice(this.running.indexOf(group), 1);
        return attempt.complete();
      });
    }
  }

  get groups(): string[] {
    return this.begins.map(({ attempt }) => attempt.delivery.headers?.tenant ?? '');
  }

  async begun(count: number): Promise<void> {
    const begun = () => this.begins.length;
    await this.scene.until(`${count} attempts have begun`, () => begun() >= count, begun);
  }

  async nothing(): Promise<void> {
    const before = this.begins.length;
    await moment();
    assert.equal(this.begins.length, before, 'an attempt began that must not');
  }

  async allComplete(count: number): Promise<void> {
    await this.begun(count);
    await this.scene.until('all have ended', () => this.running.length === 0);
  }
}

const storeSome = async (scene: Scene, engines: readonly DurableEngine[], count: number, tenant?: string) => {
  for (let index = 0; index < count; index++) {
    const headers = tenant === undefined ? {} : { headers: { tenant } };
    await engines[index % engines.length].store([scene.delivery(headers)]);
  }
};

const BY_TENANT = { by: 'tenant', running: 2 };

/** How many attempts all instances make. */
export const limitsRules: readonly ContractRule[] = [
  rule(
    'begins no more attempts in any window than the rate of a callback lets, over all instances',
    async (scene) => {
      const rate = { limit: 4, perMs: 400 };
      const callback = scene.callback('Emails.greet', { limits: { rate } });
      const engines = await Promise.all([1, 2, 3].map(() => scene.open(callback)));
      await storeSome(scene, engines, 8);
      const together = new Together(scene, engines, callback);
      await storeSome(scene, engines, 8);
      await together.allComplete(16);
      const times = together.begins.map(({ at }) => at);
      const inWindow = times.map((from) => times.filter((at) => at >= from && at - from < rate.perMs).length);
      assert.ok(Math.max(...inWindow) <= rate.limit, `${Math.max(...inWindow)} have begun in ${rate.perMs} ms`);
    },
    'limits',
  ),

  rule(
    'has no more attempts of a callback running than its limit, over all instances, and as many',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { limits: { running: 3 } });
      const engines = await Promise.all([scene.open(callback), scene.open(callback)]);
      const mayEnd = gate();
      const together = new Together(scene, engines, callback, () => mayEnd.opened);
      await storeSome(scene, engines, 12);
      await together.begun(3);
      await together.nothing();
      mayEnd.open();
      await together.allComplete(12);
      assert.equal(together.most, 3);
    },
    'limits',
  ),

  rule(
    'charges nothing for a limit: what was held up by it begins as its first attempt',
    async (scene) => {
      const limits = { running: 2, rate: { limit: 6, perMs: 300 } };
      const callback = scene.callback('Emails.greet', { limits });
      const engines = await Promise.all([scene.open(callback), scene.open(callback)]);
      await storeSome(scene, engines, 14);
      const together = new Together(scene, engines, callback, () => sleep(20));
      await together.allComplete(14);
      const charged = together.begins.map(({ attempt: { attempt, charged } }) => `${attempt} ${charged}`);
      assert.deepEqual([...new Set(charged)], ['1 1']);
    },
    'limits',
  ),

  rule(
    'counts what runs under former ids, too',
    async (scene) => {
      const former = scene.callback('Emails.welcome');
      const callback = scene.callback('Emails.greet', { formerly: ['Emails.welcome'], limits: { running: 2 } });
      const old = await scene.open(former);
      const mayEnd = gate();
      const before = scene.attempts(old, former, async (attempt) => {
        await mayEnd.opened;
        return attempt.complete();
      });
      await old.store([scene.delivery({ callback: former.callback }), scene.delivery({ callback: former.callback })]);
      await before.begun(2);
      const engine = await scene.open(callback);
      const together = new Together(scene, [engine], callback);
      await storeSome(scene, [engine], 2);
      await together.nothing();
      mayEnd.open();
      await together.allComplete(2);
    },
    'limits',
  ),

  rule(
    'takes a place that falls free when an attempt fails, or its instance stops working',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { limits: { running: 1 } });
      const [first, second] = await Promise.all([scene.open(callback), scene.open(callback)]);
      const held = gate();
      const failing = scene.attempts(first, callback, async (attempt) => {
        await held.opened;
        return attempt.bury(error);
      });
      await storeSome(scene, [first], 3);
      await failing.begun(1);
      const together = new Together(scene, [second], callback);
      await together.nothing();
      await first.stopWorking();
      await together.nothing();
      held.open();
      await together.allComplete(2);
      assert.equal(failing.all.length, 1);
    },
    'limits',
  ),

  rule(
    'takes the place of an instance that is cut off when its claim has run out',
    async (scene, { cutOff }) => {
      const callback = scene.callback('Emails.greet', { limits: { running: 1 } });
      const [dying, living] = [await scene.openBrief(callback), await scene.openBrief(callback)];
      const hanging = scene.attempts(dying, callback, () => new Promise(() => {}));
      await storeSome(scene, [dying], 3);
      await hanging.begun(1);
      const together = new Together(scene, [living], callback);
      await cutOff(dying);
      await together.allComplete(3);
      assert.equal(together.most, 1);
    },
    'limits',
    'several sessions',
  ),

  rule(
    'has no more attempts of a group running than its limit, over all instances; and what has no group is one, too',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { limits: { groups: BY_TENANT } });
      const engines = await Promise.all([scene.open(callback), scene.open(callback)]);
      const mayEnd = gate();
      const together = new Together(scene, engines, callback, () => mayEnd.opened);
      await storeSome(scene, engines, 5, 'a');
      await storeSome(scene, engines, 5);
      await together.begun(4);
      await together.nothing();
      mayEnd.open();
      await together.allComplete(10);
      assert.equal(together.mostOfGroup, 2);
    },
    'groups',
  ),

  rule(
    'goes on with other groups while one is full, whatever waits in it',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { concurrency: 4, limits: { groups: BY_TENANT } });
      const engine = await scene.open(callback);
      const mayEnd = gate();
      const together = new Together(scene, [engine], callback, ({ delivery }) =>
        delivery.headers?.tenant === 'full' ? mayEnd.opened : Promise.resolve(),
      );
      for (let count = 0; count < 10; count++) {
        await engine.store(Array.from({ length: 60 }, () => scene.delivery({ headers: { tenant: 'full' } })));
      }
      await together.begun(2);
      await storeSome(scene, [engine], 6, 'other');
      await together.begun(8);
      assert.deepEqual(together.groups.toSorted(), [...Array(2).fill('full'), ...Array(6).fill('other')].toSorted());
      mayEnd.open();
      await together.allComplete(606);
    },
    'groups',
  ),

  rule(
    'tells groups by the key of a delivery, if they are to be told by that',
    async (scene) => {
      const callback = scene.callback('Emails.greet', { limits: { groups: { by: 'key', running: 1 } } });
      const engine = await scene.open(callback);
      const mayEnd = gate();
      const together = new Together(scene, [engine], callback, () => mayEnd.opened);
      for (const key of ['a', 'a', 'b', 'b']) await engine.store([scene.delivery({ key, headers: { key: 'same' } })]);
      await together.begun(2);
      await together.nothing();
      assert.deepEqual(together.begins.map(({ attempt }) => attempt.delivery.key).toSorted(), ['a', 'b']);
      mayEnd.open();
      await together.allComplete(4);
    },
    'groups',
  ),
];
