/** Deliveries that end the process which performs them: on every store they die alone, in processes that really die. */
import { afterAll, afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, EventDeliveries } from 'nestjs-callbacks';
import type { EngineFactory } from 'nestjs-callbacks/engine';
import { postgres } from 'nestjs-callbacks/postgres';
import { redis } from 'nestjs-callbacks/redis';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { sceneOn as postgresScene } from '../postgres/scene.js';
import { sceneOn as redisScene } from '../redis/scene.js';
import { closeApps, startApp } from '../support/app.js';
import { performWhileItDies } from '../support/killed-instance.js';
import { makePGliteFolder } from '../support/pglite-folder.js';
import { describeWith, findPostgres, findRedis } from '../support/servers.js';

// About ten processes start, one after the other, on a machine that has other things to do.
jest.setTimeout(180_000);

const INNOCENTS = ['Ada', 'Ben', 'Cleo', 'Dora'];
const POISONS = ['poison 1', 'poison 2'];

@Injectable()
class Emails {
  @Callback('x', { delivery: 'durable' }) greet() {}
}

/** @param source how the processes make the engine, with a lease of a second */
async function expectOnlyPoisonToDie(engine: EngineFactory, source: string, env: NodeJS.ProcessEnv) {
  const before = await startApp([Emails], { engine, work: false });
  for (const what of [...INNOCENTS, ...POISONS]) await before.events.run('x', what);
  await before.app.close();

  const { performed, deaths } = await performWhileItDies(source, env);

  const { app } = await startApp([Emails], { engine, work: false });
  const dead = (await app.get(EventDeliveries).list()).found;
  const short = dead.map(({ arguments: [what], error }) => `${String(what)}: ${error!.code}`);
  expect({ performed, dead: short.toSorted() }).toEqual({
    performed: INNOCENTS,
    dead: POISONS.map((what) => `${what}: EVENTS_DELIVERY_EXHAUSTED`),
  });
  // Each ends one process by each of its three attempts, when it is alone. At most three times it is spared: the first time,
  // and where an innocent one was first and has ended well, so that more were let in.
  expect(deaths).toBeGreaterThanOrEqual(7);
  expect(deaths).toBeLessThanOrEqual(12);
}

const TITLE = 'two of six deliveries end each process that performs them: these are dead, and the others are performed';

describeWith('On a Postgres server', await findPostgres(), (connectionString) => {
  const scene = postgresScene(connectionString);
  it(TITLE, () =>
    expectOnlyPoisonToDie(
      postgres({ ...scene.place, leaseMs: 1_000 }),
      'postgres({ connectionString: process.env.DATABASE_URL, schema: process.env.SCHEMA, leaseMs: 1_000 })',
      { DATABASE_URL: connectionString, SCHEMA: scene.schema },
    ),
  );
});

describe('In a folder, with PGlite', () => {
  let folder: string;
  afterEach(closeApps);
  afterAll(() => rmSync(join(folder, '..'), { recursive: true }));
  it(TITLE, async () => {
    folder = await makePGliteFolder();
    const source = 'postgres({ folder: process.env.FOLDER, leaseMs: 1_000 })';
    await expectOnlyPoisonToDie(postgres({ folder }), source, { FOLDER: folder });
  });
});

describeWith('On a Redis server', await findRedis(), (url) => {
  const scene = redisScene(url);
  it(TITLE, () =>
    expectOnlyPoisonToDie(
      redis({ ...scene.place, leaseMs: 1_000 }),
      'redis({ url: process.env.REDIS_URL, prefix: process.env.PREFIX, leaseMs: 1_000 })',
      { REDIS_URL: url, PREFIX: scene.prefix },
    ),
  );
});
