/** What schemas the Postgres engine works in that it has not made itself, and beside whom. */
import { expect, it } from '@jest/globals';
import { EventDeliveries } from 'nestjs-callbacks';
import { postgres, schemaSql, upgradeSql } from 'nestjs-callbacks/postgres';
import { getConstructionPlans, PgBoss } from 'pg-boss';
import { startApp, until } from '../support/app.js';
import { Emails, Ordered, ran } from '../support/engine-suite.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { callbackOf, deliveryOf, sceneOn } from './scene.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);

  /** Somebody else has made the schema, and grants the role what the README says. */
  async function asRole(sql: string, work: (url: string, grant: () => Promise<unknown>) => Promise<void>) {
    const role = `worker_of_${scene.schema}`;
    const grant = () =>
      scene.pool.query(`
        grant usage on schema ${scene.schema} to ${role};
        grant select, insert, update, delete on all tables in schema ${scene.schema} to ${role};
        grant execute on all functions in schema ${scene.schema} to ${role};`);
    await scene.pool.query(sql);
    await scene.pool.query(`create role ${role} login`);
    const url = new URL(connectionString);
    url.username = role;
    url.password = '';
    try {
      await grant();
      await work(url.href, grant);
    } finally {
      await scene.pool.query(`drop owned by ${role}; drop role ${role};`);
    }
  }

  /** Two instances perform what is due at once, later, in order and again. */
  async function performAll(url: string) {
    ran.length = 0;
    const options = { engine: postgres({ ...scene.placeByUrl, connectionString: url, migrate: false }) };
    const [one, other] = [await startApp([Emails, Ordered], options), await startApp([Emails, Ordered], options)];
    const dead = async () => (await one.app.get(EventDeliveries).list()).found.length;
    const before = await dead();
    await one.events.run('x', 'Ada');
    await other.events.with({ delayMs: 2_300 }).run('x', 'later');
    await one.events.with({ key: 'k' }).run('ordered', 'Bob');
    await one.events.with({ key: 'k' }).run('ordered', 'Cleo');
    await one.events.run('x', 'fails');
    await until(async () => (await dead()) === before + 1);
    await one.app.close();
    await until(() => ran.includes('later') && ran.includes('Cleo'));
    await other.app.close();
    const told = (level: 'warn' | 'error') =>
      [one, other].map(({ log }) => log.of(level).filter((line) => !line.includes('Emails.greet')));
    return { errors: told('error').flat(), warnings: told('warn') };
  }

  it('a schema made by schemaSql() serves a role that may only read and write', async () => {
    await asRole(await schemaSql(scene.schema), async (url) => {
      expect(await performAll(url)).toEqual({ errors: [], warnings: [[], []] });
    });
  });

  it('a schema that an earlier schemaSql() has made serves, each instance says what to run, and that mends it', async () => {
    await asRole(getConstructionPlans(scene.schema), async (url, grant) => {
      const warning = expect.stringContaining(`Run what upgradeSql('${scene.schema}') returns`);
      expect(await performAll(url)).toEqual({ errors: [], warnings: [[warning], [warning]] });
      await scene.pool.query(upgradeSql(scene.schema));
      // Functions are everybody's, and new tables are not.
      const role = `worker_of_${scene.schema}`;
      await scene.pool.query(`grant all on ${scene.schema}.events_instance to ${role}`);
      await scene.pool.query(`grant select on ${scene.schema}.events_paused to ${role}`);
      const lesser = expect.stringContaining(
        'what remote names is not compared with what other applications have, and callbacks with limits are refused, and this instance pauses nothing. Run',
      );
      expect(await performAll(url)).toEqual({ errors: [], warnings: [[lesser], [lesser]] });
      await grant();
      expect(await performAll(url)).toEqual({ errors: [], warnings: [[], []] });
    });
  });

  it.each([45, 47])(
    "a version %i of pg-boss' tables, on which our statements were not tried, is told of at boot",
    async (version) => {
      await scene.pool.query(await schemaSql(scene.schema));
      await scene.pool.query(`update ${scene.schema}.version set version = ${version}`);
      const start = (migrate: boolean) =>
        startApp([Emails], { engine: postgres({ ...scene.placeByUrl, migrate }), startTimeout: 20_000 });
      await expect(start(false)).rejects.toMatchObject({
        code: 'EVENTS_ENGINE_FAILED',
        message: expect.stringContaining(
          `the tables of pg-boss in the schema "${scene.schema}" are of version ${version}, and the pg-boss that is installed has another. ` +
            `If it is newer, run what its getMigrationPlans('${scene.schema}', ${version}) returns, or remove migrate: false; if not, install the one that has made them.`,
        ),
      });
      if (version === 45) return;
      ran.length = 0;
      const { events, log } = await start(true);
      await events.run('x', 'Ada');
      await until(() => ran.includes('Ada'));
      expect(log.of('warn').map((line) => line.split('\n')[0])).toEqual([
        `The tables of pg-boss in the schema "${scene.schema}" are of version 47. This version of nestjs-callbacks, whose own statements use them, ` +
          'was tried with version 46 only. It goes on; see whether there is a newer one, which knows them.',
      ]);
    },
  );

  it("what is retried, cancelled or deleted by pg-boss' own methods goes on or is gone, and so does its key", async () => {
    const [plain, ordered] = [callbackOf(), callbackOf({ event: 'y', isOrdered: true })];
    const engine = await scene.open([plain, ordered]);
    const boss = new PgBoss({ connectionString, schema: scene.schema, supervise: false, schedule: false });
    boss.on('error', () => {});
    await boss.start();
    try {
      const performed: unknown[] = [];
      let fails = true;
      for (const callback of [plain, ordered]) {
        engine.work(callback, async (attempt) => {
          const [what] = attempt.delivery.arguments;
          if (fails && typeof what === 'string' && what.startsWith('dies'))
            return void (await attempt.bury({ name: 'Error', message: 'no' }));
          performed.push(what);
          await attempt.complete();
        });
      }
      const retried = deliveryOf({ arguments: ['dies, and is retried'] });
      const [deleted, cancelled] = [deliveryOf({ delayMs: 60_000 }), deliveryOf({ delayMs: 60_000 })];
      const keyed = (key: string, what: string) => deliveryOf({ event: 'y', key, arguments: [what] });
      const heads = ['a', 'b'].map((key) => keyed(key, `dies at the head of ${key}`));
      await engine.store([retried, deleted, cancelled, ...heads]);
      await until(async () => (await engine.counts()).reduce((sum, { dead }) => sum + dead, 0) === 3);
      await engine.store([keyed('a', 'behind a'), keyed('b', 'behind b')]);
      expect(performed).toEqual([]);

      fails = false;
      await boss.retry('x/A.a', retried.id);
      await boss.deleteJob('x/A.a', deleted.id);
      await boss.cancel('x/A.a', cancelled.id);
      await boss.deleteJob('y/A.a/ordered', heads[0].id);
      await boss.retry('y/A.a/ordered', heads[1].id);
      await until(() => performed.length === 4);
      const [head, behind] = ['dies at the head of b', 'behind b'];
      expect(performed.toSorted()).toEqual(['behind a', behind, head, 'dies, and is retried'].toSorted());
      expect(performed.indexOf(head)).toBeLessThan(performed.indexOf(behind));
      await until(async () => (await engine.counts()).every((count) => count.running === 0));
      for (const count of await engine.counts()) expect(count).toMatchObject({ waiting: 0, delayed: 0, dead: 0 });
    } finally {
      await boss.stop({ graceful: false });
    }
  });
});
