// Kills instances, restarts and freezes the database, lets callbacks fail and hang; and then asks whether every
// acknowledged delivery was performed or is dead, none of a rejected run, in order, and how many more than once.
// `npm run torture` builds first. It takes about three minutes, and exits with 1 when anything is wrong.
//
//   postgres, pglite, redis   only that one
//   --seconds=40              how long it lasts, of each
//   --seed=7                  the same chances again
//   --former=../before        every second instance is of another build, in that checkout
import { fork } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { PrivatePostgres } from '../support/private-postgres.mjs';
import { PrivateRedis } from '../support/private-redis.mjs';
import { audit } from './audit.mjs';
import { now } from './now.mjs';
import { randomOf } from './random.mjs';

const args = process.argv.slice(2);
const given = (name) => args.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1];
const option = (name, fallback) => Number(given(name) ?? fallback);
const seconds = option('seconds', 40);
const seed = option('seed', Date.now() % 1_000_000);
const only = args.filter((arg) => !arg.startsWith('--'));
const random = randomOf(seed);

/** What the engine of an instance is made from, unless it is told: none of this is taken from who runs the torture. */
const NO_STORE = { DATABASE_URL: '', REDIS_URL: '', FOLDER: '' };

/** What an instance runs. */
const OWN = new URL('instance.mjs', import.meta.url);
const FORMER = given('former') && pathToFileURL(resolve(given('former'), 'test/torture/instance.mjs'));
const programOf = (life) => (FORMER && life % 2 === 0 ? FORMER : OWN);

/** So many instances are left alive, whose deliveries others should soon begin again. */
const FEWEST = 2;

/** All that is going on, and what was done to it. */
class Torture {
  kills = [];
  outages = [];
  deaths = [];
  instances = new Set();
  #lives = 0;
  #logs = mkdtempSync(join(tmpdir(), 'torture-'));

  constructor(env) {
    this.env = env;
  }

  /** Resolves when it works, or has died of an outage. */
  async spawn(env = {}) {
    const name = `instance ${++this.#lives}`;
    const child = fork(programOf(this.#lives), {
      env: {
        ...process.env,
        ...NO_STORE,
        ...this.env,
        ...env,
        NAME: name,
        LOG: join(this.#logs, `${this.#lives}`),
        SEED: `${seed + this.#lives}`,
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const instance = { name, child, problem: '', ended: new Promise((resolve) => child.once('exit', resolve)) };
    child.stderr.on('data', (chunk) => (instance.problem += chunk));
    instance.stopped = new Promise((resolve) => child.on('message', (message) => message === 'stopped' && resolve()));
    this.instances.add(instance);
    instance.isReady = await Promise.race([
      new Promise((resolve) => child.on('message', (message) => message === 'ready' && resolve(true))),
      instance.ended.then(() => false),
    ]);
    if (!instance.isReady) this.instances.delete(instance);
    void instance.ended.then((code) => {
      // Nobody has killed it.
      if (instance.isReady && this.instances.delete(instance))
        this.deaths.push(`${name} died (${code}): ${instance.problem}`);
    });
    return instance;
  }

  /** Another one, however often it dies at birth since the store is away. */
  async keepSpawning() {
    while (!(await this.spawn()).isReady);
  }

  async kill(instance) {
    this.instances.delete(instance);
    this.kills.push({ instance: instance.name, at: now() });
    instance.child.kill('SIGKILL');
    await instance.ended;
  }

  /** Any of those that work; none while there are hardly any, as their successors take their time on a slow machine. */
  any() {
    const all = [...this.instances].filter(({ isReady }) => isReady);
    return all.length > FEWEST ? all[Math.floor(random() * all.length)] : undefined;
  }

  async outage(work) {
    const from = now();
    await work();
    this.outages.push([from, now()]);
  }

  async stopProducing() {
    for (const { child } of this.instances) child.send('stop producing');
    await Promise.all([...this.instances].map(({ stopped, ended }) => Promise.race([stopped, ended])));
  }

  async close() {
    const instances = [...this.instances];
    this.instances.clear();
    for (const { child } of instances) child.send('close');
    await Promise.all(instances.map(({ ended }) => ended));
  }

  lines() {
    return readdirSync(this.#logs).flatMap((file) =>
      readFileSync(join(this.#logs, file), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    );
  }

  remove() {
    for (const { child } of this.instances) child.kill('SIGKILL');
    rmSync(this.#logs, { recursive: true });
  }
}

/** What the database holds in the end, read past everything of ours. */
async function kept(query) {
  const state = (names) =>
    query(
      `select name, id from nestjs_callbacks.job where state::text in (${names.map((name) => `'${name}'`).join()})`,
    );
  const dead = await state(['failed']);
  const open = await state(['created', 'retry', 'active']);
  const effects = await query('select id, count(*)::int as times from effects group by id');
  return {
    dead: new Set(dead.map(({ name, id }) => `${name.split('/')[1]} ${id}`)),
    open: open.length,
    effects: new Map(effects.map(({ id, times }) => [id, times])),
  };
}

/**
 * Kills instances, and has the server restart and freeze.
 *
 * @param restart ends the server in one way or another, waits, and starts it
 * @param isDrained whether nothing is open any more
 */
async function onServer(server, torture, restart, isDrained, look) {
  // One after the other: who was there first has the duty.
  for (let count = 0; count < 4; count++) await torture.keepSpawning();
  let restarts = 0;
  let freezes = 0;
  const births = [];
  const end = now() + seconds * 1_000;
  while (now() < end) {
    await sleep(500 + random() * 1_500);
    const chance = random();
    if (chance < 0.7) {
      const victim = torture.any();
      if (!victim) continue;
      await torture.kill(victim);
      births.push(torture.keepSpawning());
    } else if (chance < 0.9) {
      restarts++;
      await torture.outage(restart);
    } else {
      freezes++;
      await torture.outage(async () => {
        server.freeze();
        await sleep(1_000 + random() * 6_000);
        server.thaw();
      });
    }
  }
  await Promise.all(births);
  await torture.stopProducing();
  for (const deadline = now() + 60_000; now() < deadline && !(await isDrained());) await sleep(200);
  const result = audit(torture.lines(), await look(), torture);
  await torture.close();
  const { kills, deaths } = torture;
  return {
    problems: [...deaths, ...result.problems],
    figures: {
      'instances killed': kills.length,
      'server restarts': restarts,
      'server freezes': freezes,
      ...result.figures,
    },
  };
}

/** So much is produced that a slow machine has time left: where it has none, a successor takes seconds to start. */
async function onPostgres() {
  const server = await PrivatePostgres.start();
  const query = async (sql) => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    const { rows } = await client.query(sql);
    await client.end();
    return rows;
  };
  const restart = async () => {
    await server.stop(random() < 0.7 ? 'immediate' : 'fast');
    await sleep(random() * 1_500);
    await server.start();
  };
  const open = `select 1 from nestjs_callbacks.job where state::text in ('created', 'retry', 'active') limit 1`;
  const isDrained = async () => (await query(open)).length === 0;
  const torture = new Torture({ DATABASE_URL: server.url, PAUSE_MS: '150' });
  try {
    await query('create table effects (id uuid)');
    return await onServer(server, torture, restart, isDrained, () => kept(query));
  } finally {
    torture.remove();
    await server.remove();
  }
}

/** With an append-only file: it is killed rather than stopped, mostly. Slower, as all that is run is for `Hanging` too. */
async function onRedis() {
  const server = await PrivateRedis.start();
  const restart = async () => {
    await server.stop(random() < 0.7 ? 'SIGKILL' : 'SIGTERM');
    await sleep(random() * 1_500);
    await server.start();
  };
  /** Read past everything of ours. */
  const look = () =>
    server.ask(async (client) => {
      const queues = (await client.keys('{nestjs-callbacks}:*:meta')).map((key) => key.slice(0, -':meta'.length));
      const found = { dead: new Set(), open: 0, effects: new Map() };
      for (const queue of queues) {
        for (const id of await client.zrange(`${queue}:failed`, 0, -1)) found.dead.add(`${queue.split('/')[1]} ${id}`);
        const lengths = [
          client.llen(`${queue}:wait`),
          client.llen(`${queue}:active`),
          client.zcard(`${queue}:delayed`),
        ];
        for (const length of await Promise.all(lengths)) found.open += length;
      }
      return found;
    });
  const torture = new Torture({ REDIS_URL: server.url, PAUSE_MS: '75' });
  try {
    return await onServer(server, torture, restart, async () => (await look()).open === 0, look);
  } finally {
    torture.remove();
    await server.remove();
  }
}

async function onPGlite() {
  const folder = join(mkdtempSync(join(tmpdir(), 'torture-pglite-')), 'database');
  const torture = new Torture({ FOLDER: folder, PRODUCERS: '6' });
  /** The database lies in the process: it is away from when that is killed until the next one is up. */
  const spawnNext = async (env) => {
    let instance;
    await torture.outage(async () => (instance = await torture.spawn(env)));
    if (!instance.isReady) throw new Error(`It did not start again: ${instance.problem}`);
    return instance;
  };
  try {
    const end = now() + seconds * 1_000;
    while (now() < end) {
      const instance = await spawnNext();
      await sleep(300 + random() * 2_500);
      await torture.kill(instance);
    }
    const last = await spawnNext({ PRODUCES: 'false' });
    await last.stopped;
    // Only the process that has it can look into it: it is asked until nothing is performed any more.
    for (let before = -1; before !== torture.lines().length; await sleep(3_000)) before = torture.lines().length;
    await torture.close();
    const { PGlite } = await import('@electric-sql/pglite');
    const database = await PGlite.create(folder);
    const result = audit(torture.lines(), await kept(async (sql) => (await database.query(sql)).rows), torture);
    await database.close();
    return { ...result, figures: { 'processes killed': torture.kills.length, ...result.figures } };
  } finally {
    torture.remove();
    rmSync(join(folder, '..'), { recursive: true });
  }
}

console.log(`Seed ${seed}: run again with --seed=${seed}`);
for (const [name, torment] of Object.entries({ postgres: onPostgres, pglite: onPGlite, redis: onRedis })) {
  if (only.length > 0 && !only.includes(name)) continue;
  const startedAt = now();
  const { problems, figures } = await torment();
  console.log(`\n${name}, ${Math.round((now() - startedAt) / 1_000)} s`);
  for (const [what, figure] of Object.entries(figures)) console.log(`  ${what.padEnd(42)} ${figure}`);
  for (const problem of problems.slice(0, 20)) console.log(`  PROBLEM ${problem}`);
  if (problems.length > 20) console.log(`  and ${problems.length - 20} more`);
  console.log(
    problems.length === 0 ? '  Nothing is lost, and nothing is out of order.' : `  ${problems.length} problems`,
  );
  if (problems.length > 0) process.exitCode = 1;
}
