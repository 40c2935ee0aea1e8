/** A process that is killed in a sign-up: the row and the delivery are both there, or neither is. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { Injectable } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Callback, EventDeliveries } from 'nestjs-callbacks';
import { lockFolder, postgres, type PostgresOptions } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { closeApps, startApp, until } from '../support/app.js';
import { Project } from '../support/child-process.js';
import { EMBEDDED_LAYERS, LAYERS } from '../support/layers.js';
import { describeWith, findPostgres } from '../support/servers.js';

const server = await findPostgres();

@Injectable()
class Emails {
  readonly greeted: string[] = [];

  @Callback('user_joined', { delivery: 'durable' })
  greet(name: string) {
    this.greeted.push(name);
  }
}

let project: Project;
beforeAll(() => {
  project = new Project();
  for (const folder of ['test/recipes', 'test/generated']) project.copy(folder);
  for (const file of ['support/layers.ts', 'transactions/crash/program.ts']) {
    project.write(join('test', file), readFileSync(new URL(`../${file}`, import.meta.url), 'utf8'));
  }
});
afterAll(() => project.remove());

async function killed(layer: string, place: string, moment: 'before' | 'after'): Promise<void> {
  const running = project.start('test/transactions/crash/program.js', { args: [layer, place, moment] });
  let hasEnded = false;
  void running.ended.then(() => {
    hasEnded = true;
  });
  await until(() => running.output.includes('HERE') || hasEnded);
  if (hasEnded) throw new Error(running.output);
  running.kill('SIGKILL');
  await running.ended;
}

/** What an application finds that starts after the crashes. */
async function found(engine: PostgresOptions) {
  const { app } = await startApp([Emails], { engine: postgres(engine) });
  await until(async () =>
    (await app.get(EventDeliveries).counts()).every(({ waiting, running }) => waiting + running === 0),
  );
  return app.get(Emails).greeted;
}

afterEach(closeApps);

describeWith('On a Postgres server (DATABASE_URL, or the local one),', server, (admin) => {
  let pool: pg.Pool;
  beforeAll(() => {
    pool = new pg.Pool({ connectionString: admin });
  });
  afterAll(() => pool.end());

  it.each(LAYERS.map(({ name }) => name))(
    'with %s, one killed before the commit leaves nothing, one killed after it leaves the delivery to others',
    async (name) => {
      const database = `crash_${name.toLowerCase()}_${process.pid}`;
      await pool.query(`create database ${database}`);
      const url = new URL(admin);
      url.pathname = `/${database}`;
      const client = new pg.Client({ connectionString: url.href });
      try {
        await client.connect();
        await client.query('create table users (name text primary key, email text not null)');
        await killed(name, url.href, 'before');
        await killed(name, url.href, 'after');
        expect(await found({ connectionString: url.href })).toEqual(['after']);
        expect((await client.query('select name from users')).rows).toEqual([{ name: 'after' }]);
      } finally {
        await closeApps();
        await client.end();
        await pool.query(`drop database ${database} with (force)`);
      }
    },
    60_000,
  );
});

describe('On PGlite,', () => {
  it.each(EMBEDDED_LAYERS.map(({ name }) => name))(
    'with %s, one killed before the commit leaves nothing, one killed after it leaves the delivery to others',
    async (name) => {
      const folder = join(mkdtempSync(join(tmpdir(), 'nestjs-callbacks-')), 'data');
      const prepared = await PGlite.create(folder);
      await prepared.query('create table users (name text primary key, email text not null)');
      await prepared.close();
      await killed(name, folder, 'before');
      await killed(name, folder, 'after');
      const unlock = await lockFolder(folder);
      const pglite = await PGlite.create(folder);
      try {
        expect(await found({ pglite })).toEqual(['after']);
        expect((await pglite.query('select name from users')).rows).toEqual([{ name: 'after' }]);
      } finally {
        await closeApps();
        await pglite.close();
        unlock();
        rmSync(join(folder, '..'), { recursive: true });
      }
    },
    60_000,
  );
});
