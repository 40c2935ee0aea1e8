/** What the Postgres engine promises on a server: as every engine, and of instances, roles, schemas and pools. */
import { afterEach, expect, it, jest } from '@jest/globals';
import { EventDeliveries } from 'nestjs-callbacks';
import { postgres, schemaSql } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { startApp, until } from '../support/app.js';
import { Project } from '../support/child-process.js';
import { again, Emails, engineSuite, Ordered, ran } from '../support/engine-suite.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { sceneOn, textOf } from './scene.js';

/** An instance for each argument, which stores a delivery, and ends when none is left. */
const INSTANCES = `
import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Callback, EventDeliveries, EventRunner, EventsModule } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';

@Injectable()
class Emails {
  @Callback('x', { delivery: 'durable' }) greet(who) { console.log('greets', who); }
  @Callback('y', { delivery: 'durable', ordered: true }) inOrder() {}
}
await Promise.all(process.argv.slice(2).map(async (name) => {
  const engine = postgres({ connectionString: process.env.DATABASE_URL, schema: process.env.SCHEMA });
  class AppModule {}
  Module({ imports: [EventsModule.forRoot({ engine })], providers: [Emails] })(AppModule);
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['warn', 'error'] });
  await app.get(EventRunner).run('x', name);
  const isOpen = ({ waiting, delayed, running }) => waiting + delayed + running > 0;
  while ((await app.get(EventDeliveries).counts()).some(isOpen)) await new Promise((resolve) => setTimeout(resolve, 20));
  await app.close();
}));`;

/** Each looks for what is due, and for claims that have expired, in one statement. */
async function countSweeps() {
  const { mock } = jest.spyOn(pg.Client.prototype, 'query') as unknown as jest.Mock<(sql: unknown) => unknown>;
  return () => mock.calls.filter(([query]) => textOf(query).includes('.events_beat_')).length;
}
afterEach(() => {
  jest.restoreAllMocks();
});

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);

  engineSuite({
    name: 'Postgres',
    engineOf: postgres,
    place: () => scene.place,
    looks: { isShared: true, count: countSweeps },
    own: [
      {
        what: 'a pool of the application',
        async open() {
          const pool = new pg.Pool({ connectionString, max: 4 });
          const isAsBefore = async () =>
            (await pool.query('select 1')).rowCount === 1 &&
            ['error', 'connect', 'remove'].every((event) => pool.listenerCount(event as 'error') === 0);
          return { options: { pool, schema: scene.schema }, isAsBefore, close: () => pool.end() };
        },
      },
    ],
    elsewhere: {
      source: 'postgres({ connectionString: process.env.DATABASE_URL, schema: process.env.SCHEMA, leaseMs: 1_000 })',
      env: () => ({ DATABASE_URL: connectionString, SCHEMA: scene.schema }),
    },
  });

  it('eight instances, in two processes, may start at once on an empty database', async () => {
    const project = new Project();
    try {
      project.write('instances.ts', INSTANCES);
      const env = { DATABASE_URL: connectionString, SCHEMA: scene.schema };
      const names = Array.from({ length: 8 }, (_, index) => `Ada ${index}`);
      const halves = [names.slice(0, 4), names.slice(4)];
      const ended = await Promise.all(halves.map((args) => project.run('instances.js', { args, env })));

      expect(ended.map(({ code }) => code)).toEqual([0, 0]);
      const lines = ended.flatMap(({ output }) => output.trim().split('\n')).filter(Boolean);
      expect(lines.toSorted()).toEqual(names.map((name) => `greets ${name}`));
    } finally {
      project.remove();
    }
  });

  it('a role without the right to change the schema can work with one that somebody else has made', async () => {
    const role = `worker_of_${scene.schema}`;
    await scene.pool.query(await schemaSql(scene.schema));
    await scene.pool.query(`create role ${role} login`);
    try {
      await scene.pool.query(`
        grant usage on schema ${scene.schema} to ${role};
        grant select, insert, update, delete on all tables in schema ${scene.schema} to ${role};
        grant execute on all functions in schema ${scene.schema} to ${role};`);
      const url = new URL(connectionString);
      url.username = role;
      url.password = '';
      const { events, app, log } = await startApp([Emails, Ordered], {
        engine: postgres({ ...scene.placeByUrl, connectionString: url.href, migrate: false }),
      });
      await events.run('x', 'Ada');
      await events.with({ key: 'k' }).run('ordered', 'Bob');
      await until(() => ran.length === 2);
      await events.run('x', 'fails');
      await until(async () => (await app.get(EventDeliveries).list()).found.length === 1);
      await app.close();
      expect(log.of('error').filter((line) => !line.includes('Emails.greet failed'))).toEqual([]);
    } finally {
      await scene.pool.query(`drop owned by ${role}; drop role ${role};`);
    }
  });

  it('with migrate: false, a schema that is not there is said to be so', async () => {
    await expect(startApp([Emails], scene.options({ migrate: false }))).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_FAILED',
      message: expect.stringContaining(
        `could not start: the schema "${scene.schema}" has no tables. Run what schemaSql()`,
      ),
    });
  });

  it("the application's own pool serves, and a connection that breaks while idle ends nothing", async () => {
    const own = new pg.Pool({ connectionString, max: 4, application_name: scene.schema });
    const { app, events } = await startApp([Emails, Ordered], scene.options({ pool: own }));
    await events.run('x', 1);
    await until(() => ran.length === 1);
    await scene.pool.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
      scene.schema,
    ]);
    await again(() => events.run('x', 2));
    await until(() => ran.length === 2);
    const { rows } = await scene.pool.query('select 1 from pg_stat_activity where application_name = $1', [
      scene.schema,
    ]);
    expect(rows.length).toBeLessThanOrEqual(4);
    await app.close();
    // It is the application's to end.
    expect((await own.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    expect(own.listenerCount('error')).toBe(0);
    await own.end();
  });
});
