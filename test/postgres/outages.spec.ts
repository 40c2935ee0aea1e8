/** What the Postgres engine promises while its server is away, frozen, or breaks connections off. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { postgres } from 'nestjs-callbacks/postgres';
import { timers } from 'nestjs-callbacks/engine';
import pg from 'pg';
import { startApp, until } from '../support/app.js';
import { again, Emails, engineSuite, ran } from '../support/engine-suite.js';
import { findServerPrograms, PrivatePostgres } from '../support/private-postgres.mjs';
import { describeWith } from '../support/servers.js';

describeWith('With a Postgres server that fails (pg_ctl and initdb)', findServerPrograms(), () => {
  let server: PrivatePostgres;
  beforeAll(async () => {
    server = await PrivatePostgres.start();
  });
  afterAll(() => server.remove());
  const place = (schema: string) => ({ connectionString: server.url, schema });

  engineSuite({ name: 'Postgres', engineOf: postgres, server: { get: () => server, place } });

  it('many runs to a frozen one wait for storeTimeoutMs and no longer, and those never sent are surely not stored', async () => {
    const storeTimeoutMs = 1_000;
    const options = { ...place('crowded'), storeTimeoutMs };
    const { events } = await startApp([Emails], { engine: postgres(options), work: false });
    await again(() => events.run('x', 1));
    server.freeze();
    try {
      const codes = new Set<string>();
      const runs = Array.from({ length: 1_500 }, (_, index) =>
        events.run('x', index).catch(({ code }: { code: string }) => codes.add(code)),
      );
      // One after the other, the eight statements that they take would wait for twice as long. Each of these waits begins when
      // the one before was noticed: where the event loop is held up, they are held up as the runs are.
      const waitingInTurn = async () => {
        for (let times = 0; times < 4; times++) await timers.sleep(storeTimeoutMs);
        return 'too late';
      };
      expect(await Promise.race([Promise.all(runs).then(() => 'in time'), waitingInTurn()])).toBe('in time');
      expect(codes).toEqual(new Set(['EVENTS_STORE_UNKNOWN', 'EVENTS_STORE_FAILED']));
    } finally {
      server.thaw();
    }
  });

  it('a broken connection that listens is made again', async () => {
    const { events } = await startApp([Emails], { engine: postgres(place('listens')) });
    const admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    const listening = `select pid from pg_stat_activity where query like 'listen "listens%' or query = 'select 1' and application_name = 'nestjs-callbacks'`;
    const listener = async () => ((await admin.query(listening)).rows as { pid: number }[])[0]?.pid;
    await until(listener);
    const before = await listener();
    await admin.query('select pg_terminate_backend($1)', [before]);
    await until(async () => ![undefined, before].includes(await listener()));
    await admin.end();
    await events.run('x', 'Ada');
    await until(() => ran.length === 1);
  });
});
