// The stores of the torture: servers of its own, what is done to them, and what they hold in the end.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Proxy } from '../infra/proxy.mjs';
import { PrivatePostgres } from '../support/private-postgres.mjs';
import { PrivateRedis } from '../support/private-redis.mjs';

/** What the database holds, read past everything of ours. */
export async function keptIn(query) {
  const state = (names) =>
    query(
      `select name, id from nestjs_callbacks.job where state::text in (${names.map((name) => `'${name}'`).join()})`,
    );
  const dead = await state(['failed']);
  const open = await state(['created', 'retry', 'active']);
  const effects = await query('select id, count(*)::int as times from effects group by id');
  const name = ({ name, id }) => `${name.split('/')[1]} ${id}`;
  return {
    dead: new Set(dead.map(name)),
    open: open.map(name),
    effects: new Map(effects.map(({ id, times }) => [id, times])),
  };
}

/** What networks do to a server, whichever it is. Each lasts for some seconds. */
const onTheWay = (server, proxy, lasting) => ({
  freeze: () =>
    between(
      () => server.freeze(),
      lasting,
      () => server.thaw(),
    ),
  cut: async () => proxy.cut(),
  stall: () =>
    between(
      () => proxy.stall(),
      lasting,
      () => proxy.resume(),
    ),
});

async function between(begin, lasting, end) {
  await begin();
  await lasting();
  await end();
}

/** So much is produced that a slow machine has time left: where it has none, a successor takes seconds to start. */
export class TorturedPostgres {
  static async start(random) {
    const server = await PrivatePostgres.start();
    const store = new TorturedPostgres(server, await Proxy.before(server.port), random);
    await store.query('create table effects (id uuid)');
    return store;
  }

  constructor(server, proxy, random) {
    this.server = server;
    this.proxy = proxy;
    this.env = { DATABASE_URL: proxy.url(server.url), PAUSE_MS: '150' };
    // The database's clock decides.
    this.skewsMs = [0, 0, 600_000, -600_000];
    const lasting = () => sleep(1_000 + random() * 6_000);
    this.torments = {
      restart: async () => {
        await server.stop(random() < 0.7 ? 'immediate' : 'fast');
        await sleep(random() * 1_500);
        await server.start();
      },
      ...onTheWay(server, proxy, lasting),
      lock: () =>
        this.#onClient(async (client) => {
          await client.query('begin');
          await client.query('lock table nestjs_callbacks.job_common in access exclusive mode');
          await lasting();
          await client.query('commit');
        }),
      // Whoever commits waits for it.
      'standby gone': () =>
        between(
          () => this.#waitFor('gone'),
          lasting,
          () => this.#waitFor(''),
        ),
    };
  }

  query = (sql) => this.#onClient(async (client) => (await client.query(sql)).rows);

  look = () => keptIn(this.query);

  async remove() {
    await this.proxy.end();
    await this.server.remove();
  }

  async #waitFor(standby) {
    await this.query(`alter system set synchronous_standby_names = '${standby}'`);
    await this.query('select pg_reload_conf()');
  }

  async #onClient(work) {
    const client = new pg.Client({ connectionString: this.server.url });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }
}

/** With an append-only file: it is killed rather than stopped, mostly. Slower, as all that is run is for `Hanging` too. */
export class TorturedRedis {
  static async start(random) {
    const server = await PrivateRedis.start();
    return new TorturedRedis(server, await Proxy.before(server.port), random);
  }

  constructor(server, proxy, random) {
    this.server = server;
    this.proxy = proxy;
    this.env = { REDIS_URL: proxy.url(server.url), PAUSE_MS: '75' };
    // Each instance's own clock decides what is due: further off, and what is to be tried again takes as long.
    this.skewsMs = [0, 0, 2_000, -2_000];
    const lasting = () => sleep(1_000 + random() * 6_000);
    const configure = (replicas) => server.ask((client) => client.config('SET', 'min-replicas-to-write', replicas));
    this.torments = {
      restart: async () => {
        await server.stop(random() < 0.7 ? 'SIGKILL' : 'SIGTERM');
        await sleep(random() * 1_500);
        await server.start();
      },
      ...onTheWay(server, proxy, lasting),
      // As while a failover is made ready: whoever writes waits.
      lock: () =>
        between(
          () => server.ask((client) => client.call('CLIENT', 'PAUSE', '60000', 'WRITE')),
          lasting,
          () => server.ask((client) => client.call('CLIENT', 'UNPAUSE')),
        ),
      // Whoever writes is refused.
      'standby gone': () =>
        between(
          () => configure(1),
          lasting,
          () => configure(0),
        ),
    };
  }

  /** Reads past everything of ours. */
  look = () =>
    this.server.ask(async (client) => {
      const queues = (await client.keys('{nestjs-callbacks}:*:meta')).map((key) => key.slice(0, -':meta'.length));
      const found = { dead: new Set(), open: [], effects: new Map() };
      for (const queue of queues) {
        const name = (id) => `${queue.split('/')[1]} ${id}`;
        for (const id of await client.zrange(`${queue}:failed`, 0, -1)) found.dead.add(name(id));
        const lists = ['wait', 'active'].map((list) => client.lrange(`${queue}:${list}`, 0, -1));
        const ids = await Promise.all([...lists, client.zrange(`${queue}:delayed`, 0, -1)]);
        found.open.push(...ids.flat().map(name));
      }
      return found;
    });

  async remove() {
    await this.proxy.end();
    await this.server.remove();
  }
}
