/** A process that is killed in a sign-up: the row and the delivery are both there, or neither is. */
import { readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { Injectable } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Callback, EventDeliveries } from 'nestjs-callbacks';
import { lockFolder, postgres, type PostgresOptions } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { closeApps, startApp, until } from '../support/app.js';
import { Project } from '../support/child-process.js';
import { EMBEDDED_LAYERS, LAYERS } from '../support/layers.js';
import { makePGliteFolder } from '../support/pglite-folder.js';
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

/** Kills a process when each of its sign-ups has come to its moment. */
async function killed(layer: string, place: string, ...moments: ('before' | 'after')[]): Promise<void> {
  const running = project.start('test/transactions/crash/program.js', { args: [layer, place, ...moments] });
  await Promise.all(moments.map((moment) => running.printed(`here, ${moment} the commit`)));
  running.kill('SIGKILL');
  await running.ended;
}

/** Does something with each, two at a time; returns what became of each. */
async function twoAtATime<Item>(items: readonly Item[], work: (item: Item) => Promise<void>) {
  const [results, waiting] = [new Map<Item, Promise<void>>(), [...items]];
  const goOn = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      results.set(item, work(item));
      await results.get(item)!.catch(() => {});
    }
  };
  await Promise.all([goOn(), goOn()]);
  return results;
}

/** What an application finds that starts after the crashes: whom it greets. */
async function found(engine: PostgresOptions): Promise<string[]> {
  const { app } = await startApp([Emails], { engine: postgres(engine) });
  await until(async () =>
    (await app.get(EventDeliveries).counts()).every(({ waiting, running }) => waiting + running === 0),
  );
  return app.get(Emails).greeted;
}

describeWith('On a Postgres server (DATABASE_URL, or the local one),', server, (admin) => {
  const database = `crash_${process.pid}`;
  const names = LAYERS.map(({ name }) => name);
  let pool: pg.Pool;
  let client: pg.Client;
  let kills: ReadonlyMap<string, Promise<void>>;
  let greeted: string[];
  beforeAll(async () => {
    pool = new pg.Pool({ connectionString: admin });
    await pool.query(`create database ${database}`);
    const url = Object.assign(new URL(admin), { pathname: database }).href;
    client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query('create table users (name text primary key, email text not null)');
    kills = await twoAtATime(names, (name) => killed(name, url, 'before', 'after'));
    greeted = await found({ connectionString: url });
  });
  afterAll(async () => {
    await closeApps();
    await client.end();
    await pool.query(`drop database ${database} with (force)`);
    await pool.end();
  });

  it.each(names)(
    'with %s, one killed before the commit leaves nothing, one killed after it leaves the delivery to others',
    async (name) => {
      await kills.get(name);
      expect(greeted.filter((user) => user.endsWith(` with ${name}`))).toEqual([`after with ${name}`]);
      const { rows } = await client.query(`select name from users where name like '% with ${name}'`);
      expect(rows).toEqual([{ name: `after with ${name}` }]);
    },
  );
});

describe('On PGlite,', () => {
  const folders = new Map<string, string>();
  const names = EMBEDDED_LAYERS.map(({ name }) => name);
  let kills: ReadonlyMap<string, Promise<void>>;
  beforeAll(async () => {
    for (const name of names) {
      const folder = await makePGliteFolder();
      folders.set(name, folder);
      const prepared = await PGlite.create(folder);
      await prepared.query('create table users (name text primary key, email text not null)');
      await prepared.close();
    }
    kills = await twoAtATime(names, async (name) => {
      // One after the other: an embedded database has one transaction at a time.
      await killed(name, folders.get(name)!, 'before');
      await killed(name, folders.get(name)!, 'after');
    });
  });
  afterAll(() => {
    for (const folder of folders.values()) rmSync(dirname(folder), { recursive: true });
  });

  it.each(names)(
    'with %s, one killed before the commit leaves nothing, one killed after it leaves the delivery to others',
    async (name) => {
      await kills.get(name);
      const unlock = await lockFolder(folders.get(name)!);
      const pglite = await PGlite.create(folders.get(name)!);
      try {
        expect(await found({ pglite })).toEqual([`after with ${name}`]);
        expect((await pglite.query('select name from users')).rows).toEqual([{ name: `after with ${name}` }]);
      } finally {
        await closeApps();
        await pglite.close();
        unlock();
      }
    },
  );
});
