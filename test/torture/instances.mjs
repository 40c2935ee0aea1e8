// The instances of an application that are going on, and what was done to them.
import { fork } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { now } from './now.mjs';
import { randomOf } from './random.mjs';

/** What the engine of an instance is made from, unless it is told: none of this is taken from who runs the torture. */
const NO_STORE = { DATABASE_URL: '', REDIS_URL: '', FOLDER: '', PACKAGE: '', NEWER: '', LIMITS: '', SKEW_MS: '' };

const PROGRAM = new URL('instance.mjs', import.meta.url);

/** So many instances are left alive, whose deliveries others should soon begin again. */
const FEWEST = 2;

/** So long a store may be away from an instance that is to start: it tries again and again. */
const BIRTH_MS = 60_000;

export class Instances {
  kills = [];
  outages = [];
  deaths = [];
  /** The names of those that run another build. */
  formers = new Set();
  all = new Set();
  /** What was counted of each log, and how far. */
  #read = new Map();
  #lives = 0;
  #isOver = false;
  #logs = mkdtempSync(join(tmpdir(), 'torture-'));
  #env;
  #seed;
  #random;

  /**
   * @param env what each of them is told
   * @param seed decides what happens in them
   */
  constructor(env, seed) {
    this.#env = env;
    this.#seed = seed;
    this.#random = randomOf(seed);
  }

  /** Resolves when it works, or has died of an outage. */
  async spawn(env = {}) {
    const life = ++this.#lives;
    const name = `instance ${life}`;
    const told = { ...NO_STORE, ...this.#env, ...env };
    const child = fork(PROGRAM, {
      env: { ...process.env, ...told, NAME: name, LOG: join(this.#logs, `${life}`), SEED: `${this.#seed + life}` },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    if (told.PACKAGE) this.formers.add(name);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const instance = { name, child, env, problem: '', ended, bornAt: now() + Number(told.SKEW_MS) };
    child.stderr.on('data', (chunk) => (instance.problem += chunk));
    instance.stopped = new Promise((resolve) => child.on('message', (message) => message === 'stopped' && resolve()));
    this.all.add(instance);
    instance.isReady = await Promise.race([
      new Promise((resolve) => child.on('message', (message) => message === 'ready' && resolve(true))),
      ended.then(() => false),
    ]);
    if (!instance.isReady) this.all.delete(instance);
    void ended.then((code) => {
      // Nobody has killed it.
      if (instance.isReady && this.all.delete(instance))
        this.deaths.push(`${name} died (${code}): ${instance.problem}`);
    });
    return instance;
  }

  /** Another one, however often it dies at birth since the store is away. Rejects with its problem if that goes on. */
  async keepSpawning(env) {
    const deadline = now() + BIRTH_MS;
    for (;;) {
      const instance = await this.spawn(env);
      if (instance.isReady) return instance;
      if (this.#isOver || now() > deadline) throw new Error(`${instance.name} does not start: ${instance.problem}`);
    }
  }

  async kill(instance) {
    this.all.delete(instance);
    this.kills.push({ instance: instance.name, bornAt: instance.bornAt, at: now() });
    instance.child.kill('SIGKILL');
    await instance.ended;
  }

  /** Any of those that work; none while there are hardly any, as their successors take their time on a slow machine. */
  any() {
    const ready = [...this.all].filter(({ isReady }) => isReady);
    return ready.length > FEWEST ? ready[Math.floor(this.#random() * ready.length)] : undefined;
  }

  async outage(work) {
    const from = now();
    await work();
    this.outages.push([from, now()]);
  }

  async stopProducing(instances = [...this.all]) {
    for (const { child } of instances) child.send('stop producing');
    await Promise.all(instances.map(({ stopped, ended }) => Promise.race([stopped, ended])));
  }

  async close(instances = [...this.all]) {
    for (const instance of instances) this.all.delete(instance);
    for (const { child } of instances) child.send('close');
    await Promise.all(instances.map(({ ended }) => ended));
  }

  /**
   * How many runs they were told of that are stored. Reads what is new since it was asked last: all of it would take so long that
   * a proxy in this process would stand still meanwhile.
   */
  acknowledged() {
    for (const file of readdirSync(this.#logs)) {
      const read = this.#read.get(file) ?? { until: 0, stored: 0 };
      const chunk = readFrom(join(this.#logs, file), read.until);
      // The last line may be half written.
      const end = chunk.lastIndexOf('\n') + 1;
      read.stored += chunk.toString('utf8', 0, end).split('"what":"stored"').length - 1;
      read.until += end;
      this.#read.set(file, read);
    }
    return [...this.#read.values()].reduce((sum, { stored }) => sum + stored, 0);
  }

  /** What they noted. */
  lines() {
    return readdirSync(this.#logs).flatMap((file) =>
      readFileSync(join(this.#logs, file), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    );
  }

  remove() {
    this.#isOver = true;
    for (const { child } of this.all) child.kill('SIGKILL');
    rmSync(this.#logs, { recursive: true });
  }
}

/** What a file has from a position on. */
function readFrom(path, position) {
  const file = openSync(path);
  try {
    const chunk = Buffer.alloc(fstatSync(file).size - position);
    return chunk.subarray(0, readSync(file, chunk, 0, chunk.length, position));
  } finally {
    closeSync(file);
  }
}
