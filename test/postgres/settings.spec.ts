/** What the Postgres engine makes of a server that is set up otherwise: a standby, an encoding, a reading of strings. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, EventDeliveries } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { closeApps, firstLines, startApp, until } from '../support/app.js';
import { Emails, isIdle, ran } from '../support/engine-suite.js';
import { findServerPrograms, PrivatePostgres } from '../support/private-postgres.mjs';
import { describeWith, findPostgres } from '../support/servers.js';
import { temporaryDatabase } from '../transactions/temporary-database.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const latin = temporaryDatabase(connectionString, 'latin');
  const strings = temporaryDatabase(connectionString, 'strings');
  const readOnly = temporaryDatabase(connectionString, 'read_only');
  const all = [latin, strings, readOnly];
  const nameOf = ({ url }: { url: string }) => new URL(url).pathname.slice(1);
  beforeAll(async () => {
    await latin.administer(`create database ${nameOf(latin)} encoding 'LATIN1' locale 'C' template template0`);
    await strings.create();
    await strings.administer(`alter database ${nameOf(strings)} set standard_conforming_strings = off`);
    await readOnly.create();
    await readOnly.administer(`alter database ${nameOf(readOnly)} set default_transaction_read_only = on`);
  });
  afterEach(closeApps);
  afterAll(async () => {
    for (const one of all) await one.drop();
  });

  it('C8: an error that a database of LATIN1 cannot write is stored with replacements', async () => {
    @Injectable()
    class Failing {
      @Callback('fails', { delivery: 'durable', retry: { attempts: 2, delayMs: 0 } }) go(what: unknown) {
        ran.push(what);
        throw new Error(`漢字 → é\u0000 \\u0041`, { cause: new Error('€') });
      }
    }
    const { app, events, log } = await startApp([Failing, Emails], {
      engine: postgres({ connectionString: latin.url }),
    });
    const deliveries = app.get(EventDeliveries);
    await events.run('fails', 1);
    await events.run('x', 'é');
    await until(async () => (await deliveries.list()).found.length === 1 && (await isIdle(deliveries)));
    expect(ran.toSorted()).toEqual([1, 1, 'é']);
    const [{ error }] = (await deliveries.list()).found;
    expect(error).toMatchObject({ message: '?? ? ?? \\u0041', cause: { message: '?' } });
    expect(firstLines(log.of('error')).filter((line) => line.includes('does not work'))).toEqual([]);
    await expect(events.run('x', '漢字')).rejects.toMatchObject({ code: 'EVENTS_STORE_FAILED' });
  });

  it("C15: a schema that holds another application's table is refused, by that name", async () => {
    const client = new pg.Client({ connectionString: strings.url });
    await client.connect();
    await client.query('create schema theirs; create table theirs.job (id int, title text)');
    await client.end();
    const engine = postgres({ connectionString: strings.url, schema: 'theirs' });
    await expect(startApp([Emails], { engine })).rejects.toThrow(
      `the schema "theirs" is somebody else's: its table "job" is none of pg-boss. Give deliveries a schema of their own: postgres({ schema: … }).`,
    );
  });

  it('G10: a database that reads strings otherwise has its schema made all the same', async () => {
    const { app, events } = await startApp([Emails], { engine: postgres({ connectionString: strings.url }) });
    await events.run('x', 'back\\slash');
    await until(() => isIdle(app.get(EventDeliveries)));
    expect(ran).toEqual(['back\\slash']);
  });

  it('G8: a database that takes no writes is refused at boot', async () => {
    const starting = startApp([Emails], { engine: postgres({ connectionString: readOnly.url }) });
    await expect(starting).rejects.toThrow('lets this role write nothing (default_transaction_read_only is on)');
  });
});

describe('A standby', () => {
  describeWith('of a Postgres server of its own (pg_ctl, initdb and pg_basebackup)', findServerPrograms(), () => {
    it('G8: is refused at boot, by what it is', async () => {
      const primary = await PrivatePostgres.start();
      const standby = await primary.standby();
      try {
        const starting = startApp([Emails], { engine: postgres({ connectionString: standby.url }) });
        await expect(starting).rejects.toThrow(
          'this server is a standby, a read replica, and takes no writes. Name the primary server.',
        );
      } finally {
        await closeApps();
        await standby.remove();
        await primary.remove();
      }
    });
  });
});
