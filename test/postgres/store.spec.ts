/** What lies in the database of the Postgres engine: what can be read there, what is refused, moved, kept and missing. */
import { expect, it } from '@jest/globals';
import { EventDeliveries } from 'nestjs-callbacks';
import pg from 'pg';
import { PgBoss, TestClock } from 'pg-boss';
import { startApp, until } from '../support/app.js';
import { Emails, Ordered, ran } from '../support/engine-suite.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { callbackOf, deliveryOf, sceneOn } from './scene.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);

  it('what is stored can be read', async () => {
    const { events } = await startApp([Emails], scene.options({}, { work: false }));
    const headers = { tenant: 'acme', 'correlation-id': 'from the gateway' };
    await events.with({ key: 'Ada', headers }).run('x', { at: new Date(0), list: new Set([1n]), text: 'a\0b' });
    const { rows } = await scene.pool.query(`select name, data, singleton_key from ${scene.schema}.job`);
    expect(rows).toEqual([
      {
        name: 'x/Emails.greet',
        singleton_key: 'Ada',
        data: {
          event: 'x',
          key: 'Ada',
          headers,
          arguments: [
            {
              at: { $type: 'Date', value: '1970-01-01T00:00:00.000Z' },
              list: { $type: 'Set', value: [{ $type: 'BigInt', value: '1' }] },
              text: { $type: 'String', value: 'a\\u0000b' },
            },
          ],
        },
      },
    ]);
  });

  it('C31: an object arrives equal, though the database puts its fields in another order', async () => {
    const { events } = await startApp([Emails], scene.options());
    ran.length = 0;
    const passed = { total: 1, id: 2, of: { longer: 1, b: 2 } };
    await events.run('x', passed);
    await until(() => ran.length === 1);
    expect(ran[0]).toEqual(passed);
    expect(JSON.stringify(ran[0])).toBe('{"id":2,"of":{"b":2,"longer":1},"total":1}');
  });

  it('what pg-boss itself writes down of a delivery is listed as an error like any other', async () => {
    const engine = await scene.open([callbackOf()]);
    await engine.store([deliveryOf()]);
    await scene.pool.query(
      `update ${scene.schema}.job set output = '{ "value": { "message": "job heartbeat timeout" } }'`,
    );
    const [delivery] = (await engine.list({ state: 'waiting', limit: 1 })).found;
    expect(delivery.error).toEqual({ name: 'Error', message: 'job heartbeat timeout' });
  });

  it('times are dates, however the pool reads them', async () => {
    const getTypeParser = (id: number, format?: 'text') =>
      id === pg.types.builtins.TIMESTAMPTZ ? (text: string) => text : pg.types.getTypeParser(id, format);
    const own = new pg.Pool({ connectionString, types: { getTypeParser: getTypeParser as never } });
    const engine = await scene.open([callbackOf()], { pool: own });
    const before = Date.now();
    await engine.store([deliveryOf({ delayMs: 60_000 })]);
    const [{ storedAt, since }] = (await engine.list({ state: 'waiting', limit: 1 })).found;
    expect([storedAt, since]).toEqual([expect.any(Date), expect.any(Date)]);
    expect(Math.abs(since.getTime() - storedAt.getTime() - 60_000)).toBeLessThanOrEqual(1);
    expect(Math.abs(storedAt.getTime() - before)).toBeLessThan(60_000);
    await engine.stop();
    await own.end();
  });

  it('a run that the database refuses does not take down those that are stored with it', async () => {
    const { events } = await startApp([Emails], scene.options());
    await scene.pool.query(`
      create function ${scene.schema}.refuse() returns trigger language plpgsql as $$ begin
        if new.data->'arguments'->>0 = 'poison' then raise exception 'poison'; end if; return new; end $$;
      create trigger refuse before insert on ${scene.schema}.job_common for each row execute function ${scene.schema}.refuse();`);
    const results = await Promise.allSettled(['a', 'poison', 'b', 'c'].map((what) => events.run('x', what)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'EVENTS_STORE_FAILED', cause: { message: 'poison' } } });
    await until(() => ran.length === 3);
    expect(ran.toSorted()).toEqual(['a', 'b', 'c']);
  });

  it('a queue that somebody has deleted is made again', async () => {
    const { events } = await startApp([Emails, Ordered], scene.options());
    await scene.pool.query(
      `select ${scene.schema}.delete_queue('x/Emails.greet'), ${scene.schema}.delete_queue('ordered/Ordered.greet/ordered')`,
    );
    await events.run('x', 'Ada');
    await events.with({ key: 'k' }).run('ordered', 'Bob');
    await until(() => ran.length === 2);
  });

  it('in a transaction, a queue that somebody has deleted fails the storing, and not the commit', async () => {
    const engine = await scene.open([callbackOf()]);
    await scene.pool.query(`select ${scene.schema}.delete_queue('x/A.a')`);
    const delivery = deliveryOf();
    await scene.inTransaction(async (client) => {
      await expect(engine.store([delivery], client)).rejects.toThrow(
        'somebody has deleted the queue x/A.a from the database',
      );
      await client.query('select 1');
    });
    await engine.store([delivery]);
    await scene.inTransaction((client) => engine.store([delivery], client));
    expect(await engine.counts()).toMatchObject([{ waiting: 1 }]);
  });

  it('what cannot be moved from a former name keeps nothing else from its turn', async () => {
    const [former, other] = [callbackOf(), callbackOf({ callback: 'C.c' })];
    const older = await scene.open([former, other]);
    const renamed = callbackOf({ callback: 'B.b', formerly: ['A.a'] });
    const newer = await scene.open([renamed]);
    await newer.declare([other]);
    newer.work(renamed, (attempt) => attempt.complete().then(() => {}));
    newer.work(other, async (attempt) => {
      ran.push('C.c');
      await attempt.complete();
    });
    await scene.pool.query(`
      create function ${scene.schema}.refuse() returns trigger language plpgsql as $$ begin
        if new.name = 'x/B.b' then raise exception 'not here'; end if; return new; end $$;
      create trigger refuse before insert on ${scene.schema}.job_common for each row execute function ${scene.schema}.refuse();`);
    // Nobody is told of what is delayed: it is found by the look that cannot move the other.
    await older.store([deliveryOf(), deliveryOf({ callback: 'C.c', delayMs: 1 })]);
    await until(() => ran.length === 1);
    expect(await newer.counts()).toContainEqual(expect.objectContaining({ callback: 'A.a', waiting: 1 }));
  });

  it('what is stored under a former name stays there while the queue of the new one is missing', async () => {
    const older = await scene.open([callbackOf()]);
    const newer = await scene.open([callbackOf({ callback: 'B.b', formerly: ['A.a'] })]);
    await scene.pool.query(`select ${scene.schema}.delete_queue('x/B.b')`);
    await older.store([deliveryOf()]);
    // It looks for former names again.
    await newer.declare([]);
    expect(await newer.counts()).toMatchObject([{ callback: 'A.a', waiting: 1 }]);
  });

  it('what waits or is dead is kept for ever, what is completed for keepCompletedMs', async () => {
    const { app, events } = await startApp([Emails], scene.options({ keepCompletedMs: 60_000 }));
    const deliveries = app.get(EventDeliveries);
    await events.run('x', 'done');
    await events.run('x', 'fails');
    await until(async () => (await deliveries.list()).found.length === 1);
    await until(async () => (await deliveries.counts())[0].running === 0);
    await app.close();
    const later = await startApp([Emails], scene.options({}, { work: false }));
    await later.events.run('x', 'waits');
    await later.app.close();
    const states = async () =>
      (await scene.pool.query(`select state from ${scene.schema}.job order by state`)).rows.map(
        ({ state }) => state as string,
      );
    expect(await states()).toEqual(['created', 'completed', 'failed']);

    const clock = new TestClock();
    const boss = new PgBoss({ connectionString, schema: scene.schema, clock, schedule: false, supervise: false });
    boss.on('error', () => {});
    await boss.start();
    await clock.setTime(Date.now() + 50 * 365 * 24 * 60 * 60 * 1_000);
    await boss.supervise();
    await boss.stop({ graceful: false });

    expect(await states()).toEqual(['created', 'failed']);
  });
});
