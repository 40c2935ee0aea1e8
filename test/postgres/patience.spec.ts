/** How long an application waits for a Postgres server that does not answer: to start, and to close. */
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import { timers } from 'nestjs-callbacks/engine';
import { postgres } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { closeApps, deferred, firstLines, Log, startApp, until } from '../support/app.js';
import { Emails, ran } from '../support/engine-suite.js';
import { findServerPrograms, PrivatePostgres } from '../support/private-postgres.mjs';
import { describeWith } from '../support/servers.js';

describeWith('With a Postgres server that does not answer (pg_ctl and initdb)', findServerPrograms(), () => {
  let server: PrivatePostgres;
  beforeAll(async () => {
    server = await PrivatePostgres.start();
  });
  afterEach(closeApps);
  afterAll(() => server.remove());

  /** What comes first: the end of some work, or that of a time that begins when it is noticed that half of it is over. */
  const inTime = (work: Promise<unknown>, ms: number) => {
    const wait = async () => {
      for (let part = 0; part < 2; part++) await timers.sleep(ms / 2, undefined, { ref: false });
      return 'too late';
    };
    const done = work.then(
      () => 'in time',
      () => 'in time',
    );
    return Promise.race([done, wait()]);
  };

  const locked = async (table: string) => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    await client.query(`begin; lock table ${table}`);
    return client;
  };

  it.each(['version', 'job_common'])(
    'G5: a start with %s locked says after five seconds what it waits for, and gives up at startTimeout',
    async (table) => {
      const options = { engine: postgres({ connectionString: server.url, schema: 'locked' }), startTimeout: 6_000 };
      const before = await startApp([Emails], options);
      await before.app.close();
      const locker = await locked(`locked.${table}`);
      const log = new Log();
      const starting = startApp([Emails], options, log);
      expect(await inTime(starting, 9_000)).toBe('in time');
      await expect(starting).rejects.toMatchObject({
        code: 'EVENTS_ENGINE_FAILED',
        message: expect.stringMatching(
          /^The engine Postgres could not [^.]* within 6000 ms\. The application has not started\. Look for what holds its store up, as a lock or a pooler without free connections does, or raise startTimeout\.$/,
        ),
      });
      expect(log.of('warn')).toEqual([
        expect.stringMatching(
          /^The application waits for the engine Postgres to [^.]*, up to 6000 ms in all \(startTimeout\)\.$/,
        ),
      ]);
      await locker.end();
      // Nothing is left of it.
      const admin = new pg.Client({ connectionString: server.url });
      await admin.connect();
      const sessions = `select from pg_stat_activity where application_name = 'nestjs-callbacks'`;
      await until(async () => (await admin.query(sessions)).rowCount === 0);
      await admin.end();
    },
  );

  it('G6: closing takes shutdownTimeout in all, while the server is frozen', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable' }) async go() {
        ran.push('slow');
        await gate.promise;
      }
    }
    const engine = postgres({ connectionString: server.url, schema: 'frozen' });
    const { app, events, log } = await startApp([Slow, Emails], { engine, shutdownTimeout: 3_000 });
    await events.run('slow');
    await until(() => ran.length === 1);
    server.freeze();
    try {
      const runs = [1, 2, 3].map((what) => events.run('x', what).catch(() => {}));
      expect(await inTime(app.close(), 4_500)).toBe('in time');
      await Promise.all(runs);
    } finally {
      server.thaw();
      gate.resolve();
    }
    expect(firstLines(log.of('error'))).toContainEqual(expect.stringContaining('after 3000 ms these had not finished'));
  });
});
