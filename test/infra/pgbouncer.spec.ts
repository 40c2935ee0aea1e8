/** What the Postgres engine promises behind PgBouncer, in each of its modes. */
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { EventDeliveries } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { closeApps, firstLines, type StartedApp, startApp, until } from '../support/app.js';
import { Emails, isIdle, Ordered, ran } from '../support/engine-suite.js';
import { findServerPrograms, PrivatePostgres } from '../support/private-postgres.mjs';
import { describeWith } from '../support/servers.js';
import { findPgBouncer, PgBouncer } from './pgbouncer.mjs';

const programs = findServerPrograms() && findPgBouncer();

describeWith('Behind PgBouncer (pgbouncer, pg_ctl and initdb)', programs, () => {
  let server: PrivatePostgres;
  let bouncer: PgBouncer;
  beforeAll(async () => {
    server = await PrivatePostgres.start();
  });
  afterEach(async () => {
    await closeApps();
    await bouncer?.remove();
  });
  afterAll(() => server?.remove());

  const DEAF = 'Notifications of the database do not arrive';
  const start = (schema: string) =>
    startApp([Emails, Ordered], {
      engine: postgres({ connectionString: bouncer.url, schema, connections: 4, leaseMs: 2_000 }),
    });

  async function runMany(apps: readonly StartedApp[]) {
    for (let index = 0; index < 60; index++) {
      const { events } = apps[index % apps.length];
      await events.run('x', index);
      await events.with({ key: `${index % 3}` }).run('ordered', 1_000 + index);
    }
    const deliveries = apps[0].app.get(EventDeliveries);
    await until(async () => (await isIdle(deliveries)) && ran.length === 120);
    const ordered = ran.filter((one): one is number => Number(one) >= 1_000);
    for (const key of [0, 1, 2]) {
      const own = ordered.filter((one) => (one - 1_000) % 3 === key);
      expect(own).toEqual(own.toSorted((a, b) => a - b));
    }
    expect(new Set(ran).size).toBe(120);
    const failures = apps.flatMap(({ log }) => [...log.of('warn'), ...log.of('error')]);
    expect(firstLines(failures)).toEqual([]);
  }

  it('G11: in transaction mode all goes on, and a line says once what that costs', async () => {
    bouncer = await PgBouncer.before(server.url, 'transaction');
    const apps = [await start('in_transactions'), await start('in_transactions')];
    await runMany(apps);
    // Nest has one logger for all applications of a process.
    const told = () => apps.flatMap(({ log }) => log.of('log')).filter((line) => line.startsWith(DEAF));
    await until(() => told().length === 2);
  });

  it('in session mode it is as without, as long as there is a session for each connection', async () => {
    bouncer = await PgBouncer.before(server.url, 'session');
    const apps = [await start('in_sessions'), await start('in_sessions')];
    await runMany(apps);
    for (const { log } of apps) expect(log.of('log').filter((line) => line.startsWith(DEAF))).toEqual([]);
  });

  it('G13: in statement mode, which allows no transactions, all goes on that is outside of one', async () => {
    bouncer = await PgBouncer.before(server.url, 'statement');
    const apps = [await start('in_statements'), await start('in_statements')];
    await runMany(apps);
  });

  it('G5: in session mode with too few sessions, the start fails with what is missing', async () => {
    bouncer = await PgBouncer.before(server.url, 'session', { default_pool_size: 2 });
    const holding = await start('too_few').catch(() => undefined);
    const options = {
      engine: postgres({ connectionString: bouncer.url, schema: 'too_few', connections: 4 }),
      startTimeout: 3_000,
    };
    const starting = startApp([Emails], options);
    await expect(starting).rejects.toMatchObject({ code: 'EVENTS_ENGINE_FAILED' });
    await holding?.app.close();
  });
});
