/** What the Postgres engine promises where deliveries could hold each other up: by keys, locks and transactions. */
import { afterEach, expect, it, jest } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import { Callback, currentEvent, EventDeliveries, type EventRunner } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { deferred, startApp, until } from '../support/app.js';
import { Emails, ran } from '../support/engine-suite.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { callbackOf, deliveryOf, sceneOn, textOf } from './scene.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);
  afterEach(() => {
    jest.restoreAllMocks();
  });
  const failure = { name: 'Error', message: 'no' };

  it('an attempt whose own transaction is open when its time is over holds up the end of no other', async () => {
    const [isOver, mayEnd] = [deferred(), deferred()];
    const begun: string[] = [];

    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable', timeoutMs: 300, retry: { attempts: 3, delayMs: 300 } })
      async go(name: string) {
        begun.push(name);
        if (name === 'fails') {
          await isOver.promise;
          throw new Error('always');
        }
        currentEvent()!.signal.addEventListener('abort', isOver.resolve);
        const client = await scene.pool.connect();
        await client.query('begin');
        await currentEvent()!.delivery!.completeIn(client);
        await mayEnd.promise;
        await client.query('commit');
        client.release();
      }
    }
    const { app, events } = await startApp([Slow], { engine: postgres(scene.placeByUrl) });
    await events.run('slow', 'holds');
    await until(() => begun.length === 1);
    await events.run('slow', 'fails');
    let waits = 0;
    try {
      await until(async () => {
        const { rows } = await scene.pool.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%${scene.schema}.job%'`,
        );
        waits += rows.length;
        return begun.filter((name) => name === 'fails').length === 2;
      });
    } finally {
      mayEnd.resolve();
    }
    expect([waits, begun.filter((name) => name === 'holds').length]).toEqual([0, 1]);
    const deliveries = app.get(EventDeliveries);
    await until(async () => (await deliveries.list({ state: 'running' })).found.length === 0);
    expect(begun.filter((name) => name === 'holds')).toHaveLength(1);
  });

  it('a deadlock of keys reaches the one whom the database chooses', async () => {
    const ordered = callbackOf({ isOrdered: true });
    const engine = await scene.open([ordered]);
    const bothHold = [deferred(), deferred()];
    const results = await Promise.allSettled(
      ['ab', 'ba'].map((keys, index) =>
        scene.inTransaction(async (client) => {
          await client.query(`set local deadlock_timeout = '10ms'`);
          await engine.store([deliveryOf({ key: keys[0] })], client);
          bothHold[index].resolve();
          await Promise.all(bothHold.map(({ promise }) => promise));
          await engine.store([deliveryOf({ key: keys[1] })], client);
        }),
      ),
    );
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: '40P01' } });
    expect(await engine.counts()).toMatchObject([{ waiting: 2 }]);
  });

  it('a callback that becomes ordered, or is no longer, keeps its waiting and dead deliveries', async () => {
    @Injectable()
    class NowOrdered {
      @Callback('x', { delivery: 'durable', ordered: true, id: 'Emails.greet' }) async greet(what: unknown) {
        ran.push(what);
      }
    }
    /** By an instance that performs nothing, whatever becomes due. */
    const store = async (callbacks: Type, ...runs: [what: unknown, options: Parameters<EventRunner['with']>[0]][]) => {
      const { app, events } = await startApp([callbacks], scene.options({}, { work: false }));
      for (const [what, options] of runs) await events.with(options).run('x', what);
      await app.close();
    };
    const before = await startApp([Emails], scene.options());
    await before.events.with({ key: 'k' }).run('x', 'fails');
    await until(async () => (await before.app.get(EventDeliveries).list()).found.length === 1);
    await before.app.close();
    const keyed = { key: 'k', delayMs: 300 };
    await store(Emails, [1, keyed], [2, keyed], [3, keyed], ['without a key', { delayMs: 300 }]);

    const after = await startApp([NowOrdered], scene.options());
    const deliveries = after.app.get(EventDeliveries);
    await until(async () => (await deliveries.counts())[0].delayed === 0);
    // The dead one holds up its key.
    await until(() => ran.includes('without a key'));
    expect(await deliveries.counts()).toMatchObject([{ waiting: 3, dead: 1 }]);
    ran.length = 0;
    await deliveries.retry({});
    await until(() => ran.length === 4);
    expect(ran).toEqual(['fails', 1, 2, 3]);
    await after.app.close();

    await store(NowOrdered, ['again', { key: 'k', delayMs: 300 }]);
    await startApp([Emails], scene.options());
    await until(() => ran.length === 5);
  });

  it('a retry is on time though another key waits behind a dead delivery', async () => {
    const { mock } = jest.spyOn(pg.Client.prototype, 'query') as unknown as jest.Mock<(sql: unknown) => unknown>;
    const statements = () => mock.calls.map(([query]) => textOf(query));
    const looksIn = (some: readonly string[]) => some.filter((sql) => sql.includes('.events_beat_')).length;
    /** How many looks there had been when the claim was sent that has brought an attempt. */
    const looksBeforeClaim = () => {
      const all = statements();
      const claimedAt = all.findLastIndex((sql) => sql.includes('.events_claim_'));
      return looksIn(all.slice(0, claimedAt));
    };
    let [retriedAt, claimedAt] = [0, 0];
    const ordered = callbackOf({ isOrdered: true });
    const engine = await scene.open([ordered]);
    engine.work(ordered, async (attempt) => {
      if (attempt.delivery.key === 'dead') return void (await attempt.bury(failure));
      if (attempt.attempt === 1) {
        // Due a little after the second look from now, and long before the third.
        const before = looksIn(statements());
        await until(() => looksIn(statements()) > before);
        await attempt.retryIn(2_100, failure);
        retriedAt = looksIn(statements());
      } else {
        claimedAt = looksBeforeClaim();
        await attempt.complete();
      }
    });
    await engine.store([deliveryOf({ key: 'dead' })]);
    await engine.store([deliveryOf({ key: 'dead' })]);
    await until(async () => (await engine.counts())[0].dead === 1);
    await engine.store([deliveryOf({ key: 'k' })]);
    await until(() => claimedAt > 0);
    // A third would have had to find it.
    expect(claimedAt - retriedAt).toBeLessThanOrEqual(2);
  });

  it('a callback that becomes ordered keeps the dead deliveries of one key, one behind the other', async () => {
    const before = await scene.open([callbackOf()]);
    before.work(callbackOf(), async (attempt) => {
      await attempt.bury(failure);
    });
    const [first, second, third] = [1, 2, 3].map((what) => deliveryOf({ key: 'k', arguments: [what] }));
    await before.store([first]);
    await before.store([second]);
    await until(async () => (await before.counts())[0].dead === 2);
    await before.stopWorking();
    await before.store([third]);

    const ordered = callbackOf({ isOrdered: true });
    const after = await scene.open([ordered]);
    after.work(ordered, async (attempt) => {
      ran.push(attempt.delivery.arguments[0]);
      await attempt.complete();
    });
    expect(await after.counts()).toMatchObject([{ waiting: 1, dead: 2 }]);
    await after.retry({ ids: [first.id] }, { limit: 10 });
    await until(() => ran.length === 1);
    // The second has taken the place of the first, and holds up the third.
    await until(
      async () =>
        (
          await scene.pool.query(
            `select 1 from ${scene.schema}.job where name like '%/ordered' and state <> 'completed'`,
          )
        ).rowCount === 2,
    );
    await after.retry({}, { limit: 10 });
    await until(() => ran.length === 3);
    expect(ran).toEqual([1, 2, 3]);
  });
});
