/**
 * What a deployment may rely on: instances of several builds on one store, side by side and on the way back. VERSIONS_SECONDS=600
 * has it last as long as a slow one.
 *
 * `test/versions/` has what `npm pack` made of the build before and of the release before, whose commits they are named by.
 */
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { until } from '../support/app.js';
import { Project } from '../support/child-process.js';
import { findServerPrograms } from '../support/private-postgres.mjs';
import { findRedisProgram } from '../support/private-redis.mjs';
import { describeWith } from '../support/servers.js';
import { audit } from '../torture/audit.mjs';
import { Instances } from '../torture/instances.mjs';
import { unpack } from '../torture/package.mjs';
import { randomOf } from '../torture/random.mjs';
import { TorturedPostgres, TorturedRedis } from '../torture/stores.mjs';

const seconds = Number(process.env.VERSIONS_SECONDS ?? 12);
const KEPT = fileURLToPath(new URL('../versions/', import.meta.url));
const former = readdirSync(KEPT)
  .filter((file) => file.endsWith('.tgz'))
  .map((file) => ({ PACKAGE: unpack(KEPT + file) }));
if (former.length < 2) throw new Error('The build before and the release before are missing.');

type Store = TorturedPostgres | TorturedRedis;
type Kept = Awaited<ReturnType<Store['look']>>;

async function deploy(start: (random: () => number) => Promise<Store>, newest: string) {
  const own = { PACKAGE: newest, NEWER: 'yes' };
  const builds = [...former, own];
  const store = await start(randomOf(1));
  const instances = new Instances(store.env, 1);
  const ofNewest = () => [...instances.all].filter(({ env }) => env === own);
  let open: Kept['open'] = [];
  /** Until nothing else is left to do. What a killed instance had waits for its claim to run out, and for others' turns. */
  const drained = async (isLeft: (name: string) => boolean) => {
    for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(100)) {
      ({ open } = await store.look());
      if (open.every(isLeft)) return;
    }
  };
  try {
    await Promise.all([...builds, ...builds].map((build) => instances.keepSpawning(build)));
    // All at once, and one after the other is replaced by another build.
    const end = Date.now() + seconds * 1_000;
    for (let deaths = 0; Date.now() < end; deaths++) {
      await sleep(1_500);
      await instances.kill(instances.any()!);
      await instances.keepSpawning(builds[deaths % builds.length]);
    }

    // The way back: what the newest has stored is there, and the older ones go on.
    if (ofNewest().length < 2) await instances.keepSpawning(own);
    const before = instances.acknowledged();
    await until(() => instances.acknowledged() > before + 50);
    const [killed, ...closed] = ofNewest();
    await instances.kill(killed);
    await instances.close(closed);
    await Promise.all(former.map((build) => instances.keepSpawning(build)));
    const since = instances.acknowledged();
    await until(() => instances.acknowledged() > since + 100);
    await instances.stopProducing();
    await drained((name) => name.startsWith('Newer.go '));
    const { dead } = await store.look();
    const left = open.length;
    const foreign = open.filter((name: string) => !name.startsWith('Newer.go '));

    // Forward again: the newest performs what only it understands.
    await instances.keepSpawning({ ...own, PRODUCERS: '0' });
    await drained(() => false);
    const { problems, figures } = audit(instances.lines(), await store.look(), instances);
    await instances.close();
    return { problems: [...instances.deaths, ...problems], figures, left, foreign, dead };
  } finally {
    instances.remove();
    await store.remove();
  }
}

const project = new Project();
beforeAll(() => project.copy('lib', 'dist'));
afterAll(() => project.remove());

function behavesOn(start: (random: () => number) => Promise<Store>) {
  it(
    'nothing is lost while several builds are at work, after a roll-back, and nothing performed by who does not understand it',
    async () => {
      const { problems, figures, left, foreign, dead } = await deploy(start, project.file('.'));
      if (process.env.VERSIONS_SECONDS) console.log(JSON.stringify({ left, ...figures }, null, 2));
      expect(problems).toEqual([]);
      expect(foreign).toEqual([]);
      expect(left).toBeGreaterThan(0);
      expect([...dead].filter((name) => !name.startsWith('Doomed.go '))).toEqual([]);
      expect(figures['runs acknowledged']).toBeGreaterThan(200);
    },
    Math.max(180_000, seconds * 2_000),
  );
}

describeWith('Several builds on Postgres (pg_ctl and initdb)', findServerPrograms(), () => {
  behavesOn((random) => TorturedPostgres.start(random));
});

describeWith('Several builds on Redis (redis-server)', findRedisProgram(), () => {
  behavesOn((random) => TorturedRedis.start(random));
});
