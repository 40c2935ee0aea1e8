/** How many sessions the Postgres engine has on a server that hangs: never more than it promises. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, EventDeliveries } from 'nestjs-callbacks';
import { timers } from 'nestjs-callbacks/engine';
import { postgres, type PostgresOptions } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { closeApps, deferred, startApp, until } from '../support/app.js';
import { Proxy } from '../infra/proxy.mjs';
import { again, isIdle } from '../support/engine-suite.js';
import { findServerPrograms, PrivatePostgres } from '../support/private-postgres.mjs';
import { describeWith } from '../support/servers.js';

describeWith('With a Postgres server that hangs (pg_ctl and initdb)', findServerPrograms(), () => {
  const INSTANCES = 3;
  const CONNECTIONS = 5;
  const OWN = `datname = current_database() and pid <> pg_backend_pid() and application_name <> 'spec'`;
  let server: PrivatePostgres;
  let admin: pg.Client;
  let ran: number[];
  let begun = 0;
  let wasLost: boolean;
  const gate = deferred();
  const pools: pg.Pool[] = [];

  beforeAll(async () => {
    server = await PrivatePostgres.start();
    admin = new pg.Client({ connectionString: server.url, application_name: 'spec' });
    await admin.connect();
  });
  afterAll(async () => {
    await admin?.end();
    await server?.remove();
  });
  beforeEach(() => {
    ran = [];
  });
  afterEach(async () => {
    await closeApps();
    await Promise.all(pools.splice(0).map((pool) => pool.end()));
  });

  @Injectable()
  class Numbers {
    @Callback('number', { delivery: 'durable', retry: { attempts: 1 } }) note(number: number) {
      ran.push(number);
    }

    @Callback('long', { delivery: 'durable', retry: { attempts: 1 } }) async wait() {
      begun++;
      await gate.promise;
      wasLost = currentEvent()!.signal.aborted;
    }
  }

  async function start(schema: string, place: () => PostgresOptions) {
    const options = () => ({ ...place(), schema, leaseMs: 2_000, storeTimeoutMs: 500 });
    const apps = [];
    for (let index = 0; index < INSTANCES; index++) {
      apps.push(await startApp([Numbers], { engine: postgres(options()) }));
    }
    await Promise.all(apps.map(({ events }, index) => events.run('number', -index)));
    await until(() => ran.length === INSTANCES);
    return apps;
  }

  /** Has all instances run events for a while. Resolves to what they were told is stored, and to the most sessions seen. */
  async function runFor(ms: number, apps: Awaited<ReturnType<typeof start>>) {
    const stored: number[] = [];
    let [most, number] = [0, 0];
    const running: Promise<unknown>[] = [];
    for (const over = performance.now() + ms; performance.now() < over;) {
      for (const { events } of apps) {
        const one = ++number;
        const run = events.run('number', one).then(
          () => stored.push(one),
          () => {},
        );
        running.push(run);
      }
      const { rows } = await admin.query(`select count(*)::int as sessions from pg_stat_activity where ${OWN}`);
      most = Math.max(most, rows[0].sessions);
      await timers.sleep(50);
    }
    await Promise.all(running);
    return { stored, most };
  }

  const byUrl = () => ({ connectionString: server.url, connections: CONNECTIONS });

  const byPool = () => {
    const pool = new pg.Pool({ connectionString: server.url, max: CONNECTIONS });
    pools.push(pool);
    return { pool };
  };

  it.each([
    ['of its own', byUrl],
    ['of a pool', byPool],
  ])('G1: %s, has no more while a table is locked, and performs all that was stored', async (_, place) => {
    const schema = `locked_${_.replaceAll(' ', '_')}`;
    const apps = await start(schema, place);
    const locker = new pg.Client({ connectionString: server.url, application_name: 'spec' });
    await locker.connect();
    await locker.query(`begin; lock table ${schema}.job_common`);
    const { stored, most } = await runFor(6_000, apps);
    await locker.end();
    const after = await runFor(500, apps);
    expect(most).toBeLessThanOrEqual(INSTANCES * CONNECTIONS);
    const deliveries = apps[0].app.get(EventDeliveries);
    await until(() => isIdle(deliveries));
    expect(after.stored.length).toBeGreaterThan(0);
    expect([...stored, ...after.stored].filter((one) => !ran.includes(one))).toEqual([]);
    expect(await deliveries.counts()).toContainEqual(expect.objectContaining({ event: 'number', dead: 0 }));
  });

  it('G1: has no more while a synchronous standby is gone, and keeps the claim on what runs meanwhile', async () => {
    const apps = await start('alone', byUrl);
    await apps[0].events.run('long');
    await until(() => begun === 1);
    await admin.query(`alter system set synchronous_standby_names = 'gone'`);
    await admin.query('select pg_reload_conf()');
    const { stored, most } = await runFor(6_000, apps);
    await admin.query('alter system reset synchronous_standby_names');
    await admin.query('select pg_reload_conf()');
    expect(most).toBeLessThanOrEqual(INSTANCES * CONNECTIONS);
    const deliveries = apps[0].app.get(EventDeliveries);
    gate.resolve();
    await until(() => isIdle(deliveries));
    expect(stored.filter((one) => !ran.includes(one))).toEqual([]);
    expect([begun, wasLost!]).toEqual([1, false]);
  });

  it('G1: a connection that breaks while its statement is given up ends nothing, whoever has made it', async () => {
    const proxy = await Proxy.before(server.port);
    const pool = new pg.Pool({ connectionString: proxy.url(server.url), max: 6 });
    pool.on('error', () => {});
    pools.push(pool);
    // Made before the engine listens to those that the pool makes.
    await Promise.all([1, 2, 3, 4, 5, 6].map(() => pool.query('select pg_sleep(0.05)')));
    const { app, events } = await startApp([Numbers], {
      engine: postgres({ pool, schema: 'broken', storeTimeoutMs: 300 }),
    });
    await events.run('number', 1);
    await until(() => ran.length === 1);
    proxy.stall();
    await expect(events.run('number', 2)).rejects.toMatchObject({ code: expect.stringMatching(/^EVENTS_STORE_/) });
    proxy.cut();
    proxy.resume();
    await again(() => events.run('number', 3));
    await until(() => ran.includes(3));
    await app.close();
    await pool.end();
    pools.pop();
    await proxy.end();
  });
});
