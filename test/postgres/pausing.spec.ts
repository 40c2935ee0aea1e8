/** What a pause is on Postgres: a row of our own, which claims look for, and older schemas and lesser roles lack. */
import { randomUUID } from 'node:crypto';
import { beforeEach, expect, it } from '@jest/globals';
import { EventDeliveries } from 'nestjs-callbacks';
import { postgres, schemaSql, upgradeSql } from 'nestjs-callbacks/postgres';
import { getConstructionPlans } from 'pg-boss';
import { startApp, until } from '../support/app.js';
import { Emails, ran } from '../support/engine-suite.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { callbackOf, deliveryOf, sceneOn } from './scene.js';

/** Long enough for a sweep, and an alarm that it has set. */
const moment = () => new Promise((resolve) => setTimeout(resolve, 400));

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);
  beforeEach(() => {
    ran.length = 0;
  });

  const marks = async () =>
    (await scene.pool.query(`select queue from ${scene.schema}.events_paused order by queue`)).rows.map(
      ({ queue }) => queue as string,
    );

  it('no sweep calls anybody to what is paused, and all are called when it is resumed', async () => {
    const engine = await scene.open([callbackOf()]);
    await engine.pause!({});
    await engine.store([deliveryOf(), deliveryOf({ delayMs: 100 })]);
    const listener = await scene.pool.connect();
    try {
      const heard: string[] = [];
      listener.on('notification', ({ payload }) => heard.push(String(payload)));
      await listener.query(`listen ${scene.schema}_deliveries`);
      const sweeps = async () => {
        const { rows } = await scene.pool.query(
          `select * from ${scene.schema}.${await sweepName()}(array['x/A.a'], '{}', true)`,
        );
        return rows[0] as Record<string, unknown>;
      };
      await moment();
      expect(await sweeps()).toMatchObject({ isDue: false, isSuspected: false, dueInMs: null });
      await engine.resume!({});
      await until(() => heard.includes('x/A.a') && heard.includes('* x/A.a'));
      expect(await sweeps()).toMatchObject({ isDue: true });
    } finally {
      listener.release(true);
    }
  });

  it('no claim takes anything of what is paused, whichever way it was called', async () => {
    const [plain, ordered] = [callbackOf(), callbackOf({ event: 'y', isOrdered: true })];
    const engine = await scene.open([plain, ordered]);
    await engine.store(['new', 'again', 'suspect'].map(() => deliveryOf()));
    for (const key of ['a', 'b', 'c']) await engine.store([deliveryOf({ event: 'y', key })]);
    await scene.pool.query(`
      update ${scene.schema}.job_common set state = 'retry', blocked = id = any(array(
        select id from ${scene.schema}.job_common where name = 'x/A.a' order by id limit 1))
      where name = 'x/A.a' and id <> all(array(
        select id from ${scene.schema}.job_common where name = 'x/A.a' order by id desc limit 1))`);
    await scene.pool.query(`
      update ${scene.schema}.job_common set state = 'retry' where name = 'y/A.a/ordered' and singleton_key = 'c'`);
    const claimed = async (of: string, queue: string, more: unknown[] = []) => {
      const params = [queue, 10, randomUUID(), 30, ...more];
      const values = params.map((_, index) => `$${index + 1}`).join();
      return scene
        .inTransaction(async (client) => {
          const { rows } = await client.query(
            `select id from ${scene.schema}.${await functionName(of)}(${values})`,
            params,
          );
          count = rows.filter(({ id }) => id !== null).length;
          // So that the next one finds all as it was.
          throw undone;
        })
        .catch((error: unknown) => {
          if (error !== undone) throw error;
        });
    };
    let count = 0;
    const undone = new Error('undone');
    const all = async () => {
      const counts: number[] = [];
      for (const claim of [
        () => claimed('claim', 'x/A.a'),
        () => claimed('claim_suspect', 'x/A.a', [true]),
        () => claimed('claim_in_order', 'y/A.a/ordered', [['a'], null, false]),
        () => claimed('claim_in_order', 'y/A.a/ordered', [[], null, true]),
        () => claimed('claim_in_order', 'y/A.a/ordered', [[], 'a', true]),
      ]) {
        await claim();
        counts.push(count);
      }
      return counts;
    };
    expect(await all()).toEqual([2, 1, 3, 3, 2]);
    await engine.pause!({});
    expect(await all()).toEqual([0, 0, 0, 0, 0]);
    await engine.resume!({});
    expect(await all()).toEqual([2, 1, 3, 3, 2]);
  });

  const functionName = async (of: string) => {
    const { rows } = await scene.pool.query(
      `select proname from pg_proc where pronamespace = '${scene.schema}'::regnamespace and proname ~ '^events_${of}_[0-9a-f]{8}$'`,
    );
    return rows[0].proname as string;
  };
  const sweepName = () => functionName('sweep');

  it('when the claim of a paused callback runs out, it comes back and waits', async () => {
    const engine = await scene.open([callbackOf()], { leaseMs: 1_000 });
    await engine.store([deliveryOf()]);
    await scene.pool.query(
      `update ${scene.schema}.job_common set state = 'active', started_on = now(), heartbeat_seconds = 1, heartbeat_on = now()`,
    );
    await engine.pause!({});
    const performed: number[] = [];
    engine.work(callbackOf(), async (attempt) => {
      performed.push(attempt.attempt);
      await attempt.complete();
    });
    await until(async () => (await engine.counts())[0].waiting === 1);
    await moment();
    expect(performed).toEqual([]);
    await engine.resume!({});
    await until(() => performed.length === 1);
    expect(performed).toEqual([2]);
  });

  it('a callback that becomes ordered, or is renamed, while it is paused stays so, and one resume() takes all marks', async () => {
    const paused = await scene.open([callbackOf()]);
    await paused.store([deliveryOf()]);
    await paused.pause!({ callback: 'A.a' });
    await scene.open([callbackOf({ isOrdered: true })]);
    const renamed = callbackOf({ callback: 'B.b', formerly: ['A.a'] });
    const engine = await scene.open([renamed]);
    expect(await marks()).toEqual(['x/A.a', 'x/A.a/ordered', 'x/B.b']);
    expect(await engine.counts()).toMatchObject([{ callback: 'B.b', waiting: 1, pausedSince: expect.any(Date) }]);
    const performed: string[] = [];
    engine.work(renamed, async (attempt) => {
      performed.push(attempt.delivery.callback);
      await attempt.complete();
    });
    await engine.store([deliveryOf({ callback: 'B.b' })]);
    await moment();
    expect(performed).toEqual([]);
    expect(await engine.resume!({ callback: 'B.b' })).toBe(1);
    expect(await marks()).toEqual([]);
    await until(() => performed.length === 2);
  });

  it('a callback that an instance declares again is not paused for what its former id is', async () => {
    const renamed = callbackOf({ callback: 'B.b', formerly: ['A.a'] });
    await scene.open([callbackOf(), renamed]);
    await scene.pool.query(`insert into ${scene.schema}.events_paused values ('x/A.a', now())`);
    await scene.open([renamed]);
    expect(await marks()).toEqual(['x/A.a']);
  });

  it('a queue of which only another application has told so far is as good as new', async () => {
    const former = await scene.open([callbackOf()]);
    await former.pause!({});
    await scene.open([callbackOf({ callback: 'B.b', isRemote: true })]);
    expect(await marks()).toEqual(['x/A.a']);
    await scene.open([callbackOf({ callback: 'B.b', formerly: ['A.a'] })]);
    expect(await marks()).toEqual(['x/A.a', 'x/B.b']);
  });

  const startAs = (role: string) => {
    const url = new URL(connectionString);
    url.username = role;
    url.password = '';
    const engine = postgres({ connectionString: url.href, schema: scene.schema, migrate: false });
    return startApp([Emails], { engine });
  };

  /** A role that may use what lies in the schema now. */
  async function withRole(work: (role: string, grant: () => Promise<unknown>) => Promise<void>): Promise<void> {
    const role = `pauser_of_${scene.schema}`;
    const grant = () =>
      scene.pool.query(`
        grant usage on schema ${scene.schema} to ${role};
        grant select, insert, update, delete on all tables in schema ${scene.schema} to ${role};
        grant execute on all functions in schema ${scene.schema} to ${role};`);
    await scene.pool.query(`create role ${role} login`);
    try {
      await grant();
      await work(role, grant);
    } finally {
      await scene.pool.query(`drop owned by ${role}; drop role ${role};`);
    }
  }

  it('an older schema performs as ever, says at boot that nothing can be paused, refuses to, and upgradeSql() mends it', async () => {
    await scene.pool.query(getConstructionPlans(scene.schema));
    await withRole(async (role, grant) => {
      const before = await startAs(role);
      expect(before.log.of('warn')).toEqual([
        expect.stringContaining('and this instance heeds no pause, and pauses nothing. Run'),
      ]);
      await expect(before.app.get(EventDeliveries).pause({})).rejects.toMatchObject({
        code: 'EVENTS_ENGINE_UNSUITED',
        message:
          'The engine Postgres cannot do EventDeliveries.pause() here. lib/control.md says which engine can; boot warns of a schema that lacks something.',
      });
      await before.events.run('x', 'Ada');
      await until(() => ran.includes('Ada'));
      await before.app.close();
      await scene.pool.query(upgradeSql(scene.schema));
      await grant();
      const after = await startAs(role);
      expect(after.log.of('warn')).toEqual([]);
      expect(await after.app.get(EventDeliveries).pause({})).toBe(1);
      await after.events.run('x', 'Bob');
      await moment();
      expect(ran).toEqual(['Ada']);
      expect(await after.app.get(EventDeliveries).resume({})).toBe(1);
      await until(() => ran.includes('Bob'));
    });
  });

  it.each(['with', 'without'])(
    'a role that may only see what is paused heeds that, %s the functions of this version, and pauses nothing itself',
    async (how) => {
      await scene.pool.query(await schemaSql(scene.schema));
      const owner = await scene.open([callbackOf({ callback: 'Emails.greet' })]);
      await owner.pause!({});
      await withRole(async (role) => {
        await scene.pool.query(`revoke insert, update, delete on ${scene.schema}.events_paused from ${role}`);
        if (how === 'without') {
          await scene.pool.query(`drop function ${scene.schema}.${await sweepName()}`);
        }
        const { app, events, log } = await startAs(role);
        expect(log.of('warn')[0]).toContain(
          'and this instance pauses nothing. Run'.replace(how === 'with' ? 'and ' : '', ''),
        );
        await expect(app.get(EventDeliveries).pause({})).rejects.toMatchObject({ code: 'EVENTS_ENGINE_UNSUITED' });
        expect(await app.get(EventDeliveries).counts()).toMatchObject([
          { callback: 'Emails.greet', pausedSince: expect.any(Date) },
        ]);
        await events.run('x', 'Ada');
        await moment();
        expect(ran).toEqual([]);
        await owner.resume!({});
        await until(() => ran.length === 1);
      });
    },
  );

  it('what fails half-way says so, and that calling it again does no harm', async () => {
    const { app } = await startApp([Emails], scene.options());
    const deliveries = app.get(EventDeliveries);
    await scene.pool.query(`alter table ${scene.schema}.events_paused rename to away`);
    await expect(deliveries.pause({})).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
      message: expect.stringContaining('The engine Postgres could not pause callbacks, or did not say so: relation'),
    });
    await scene.pool.query(`alter table ${scene.schema}.away rename to events_paused`);
  });
});
