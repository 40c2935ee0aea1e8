/** What the Postgres engine does when a primary server is lost and its standby takes over, and when it finds a standby instead. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { postgres } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { closeApps, firstLines, type StartedApp, startApp, until } from '../support/app.js';
import { Emails, Ordered, ran } from '../support/engine-suite.js';
import { findServerPrograms, PrivatePostgres } from '../support/private-postgres.mjs';
import { describeWith } from '../support/servers.js';
import { expectPerformed, firstOf, Load } from './load.js';
import { Proxy } from './proxy.mjs';

const CONNECTIONS = 4;

describeWith('With a Postgres standby (pg_ctl and initdb)', findServerPrograms(), () => {
  let primary: PrivatePostgres;
  let standby: PrivatePostgres;
  let proxy: Proxy;
  beforeEach(async () => {
    primary = await PrivatePostgres.start();
    standby = await primary.standby();
    proxy = await Proxy.before(primary.port);
  });
  afterEach(async () => {
    await closeApps();
    await proxy.end();
    await standby.remove();
    await primary.remove();
  });

  const start = () =>
    startApp([Emails, Ordered], {
      engine: postgres({ connectionString: proxy.url(primary.url), connections: CONNECTIONS, leaseMs: 2_000 }),
    });

  async function ask(server: PrivatePostgres, sql: string) {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    try {
      return (await client.query(sql)).rows as any[];
    } finally {
      await client.end();
    }
  }

  /** From now on, each commit waits for the standby. */
  async function waitForTheStandby() {
    await ask(primary, `alter system set synchronous_standby_names = '*'`);
    await ask(primary, 'select pg_reload_conf()');
    const isWaitedFor = `select from pg_stat_replication where sync_state = 'sync'`;
    await until(async () => (await ask(primary, isWaitedFor)).length === 1);
  }

  const sessionsOn = async (server: PrivatePostgres) =>
    (await ask(server, `select from pg_stat_activity where application_name = 'nestjs-callbacks'`)).length;

  /** Even lines run what is ordered, by a key of their own. */
  const loadOf = (apps: readonly StartedApp[]) =>
    new Load(apps, (runs, line, what) =>
      line % 2 === 0 ? runs.with({ key: `${line}` }).run('ordered', what) : runs.run('x', what),
    );

  async function expectAllPerformed(apps: readonly StartedApp[], load: Load) {
    await expectPerformed(apps, load.all);
    for (const line of load.acknowledged.filter((_, index) => index % 2 === 0))
      expect(firstOf(ran, line)).toEqual(line);
  }

  it('with synchronous replication, nothing that was acknowledged is lost when the primary is killed, and order is kept', async () => {
    const apps = [await start(), await start()];
    await waitForTheStandby();
    const load = loadOf(apps);
    await load.goesOn();
    await primary.stop('immediate');
    await standby.promote();
    proxy.leadTo(standby.port);
    proxy.cut();
    await load.goesOn();
    await load.end();
    await expectAllPerformed(apps, load);
    const codes = new Set(load.refusals.map(({ code }) => code));
    expect([...codes].filter((code) => !['EVENTS_STORE_FAILED', 'EVENTS_STORE_UNKNOWN'].includes(code))).toEqual([]);
    // Nest has one logger for all applications of a process.
    const told = (what: string) => apps.flatMap(({ log }) => log.of('log')).filter((line) => line.startsWith(what));
    await until(() => told('Postgres works again').length > 0);
    const failures = firstLines(apps.flatMap(({ log }) => log.of('error')));
    const isOfRuns = (line: string) => load.refusals.some(({ message }) => line.startsWith(message));
    expect(failures.filter((line) => !line.startsWith('Postgres does not work') && !isOfRuns(line))).toEqual([]);
  });

  it('a former primary that is a standby now is named as what it is, and left for the right one without being cut off', async () => {
    const apps = [await start(), await start()];
    const load = loadOf(apps);
    await load.goesOn();
    await primary.stop('fast');
    await standby.promote();
    await primary.startAfter(standby);
    const isNamed = () => load.refusals.filter(({ message }) => message.includes('this server is a standby')).length;
    await until(() => isNamed() > 20);
    expect(await sessionsOn(primary)).toBeLessThanOrEqual(apps.length * CONNECTIONS);
    proxy.leadTo(standby.port);
    await load.goesOn();
    await load.end();
    await expectAllPerformed(apps, load);
    await until(async () => (await sessionsOn(primary)) === 0);
    expect(await sessionsOn(standby)).toBeLessThanOrEqual(apps.length * CONNECTIONS);
  });
});
