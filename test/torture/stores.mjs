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

/** A server behind a proxy, and what is done to it. */
class Tortured {
  /**
   * @param crash how it stops as by a crash
   * @param orderly how it stops in good order
   */
  constructor(server, proxy, random, { crash, orderly }) {
    this.server = server;
    this.proxy = proxy;
    this.lasting = () => sleep(1_000 + random() * 6_000);
    this.torments = {
      restart: async () => {
        await server.stop(random() < 0.7 ? crash : orderly);
        await sleep(random() * 1_500);
        await server.start();
      },
      freeze: this.between(
        () => server.freeze(),
        () => server.thaw(),
      ),
      cut: async () => proxy.cut(),
      stall: this.between(
        () => proxy.stall(),
        () => proxy.resume(),
      ),
    };
  }

  /** A torment of some seconds. */
  between = (begin, end) => async () => {
    await begin();
    await this.lasting();
    await end();
  };

  async remove() {
    await this.proxy.end();
    await this.server.remove();
  }
}

/** So much is produced that a slow machine has time left: where it has none, a successor takes seconds to start. */
export class TorturedPostgres extends Tortured {
  static async start(random) {
    const server = await PrivatePostgres.start();
    const store = new TorturedPostgres(server, await Proxy.before(server.port), random);
    await store.query('create table effects (id uuid)');
    return store;
  }

  constructor(server, proxy, random) {
    super(server, proxy, random, { crash: 'immediate', orderly: 'fast' });
    this.limits = { rate: { limit: 40, perMs: 1_000 }, running: 4, groupBy: 'tenant', runningPerGroup: 2 };
    this.env = { DATABASE_URL: proxy.url(server.url), PAUSE_MS: '150', LIMITS: JSON.stringify(this.limits) };
    this.pausable = ['Quick.go', 'Flaky.go', 'Ordered.go'];
    // The build before this one heeds no pause here.
    this.isHeededByFormer = false;
    // The database's clock decides.
    this.skewsMs = [0, 0, 600_000, -600_000];
    Object.assign(this.torments, {
      lock: () =>
        this.#onClient(async (client) => {
          await client.query('begin');
          await client.query('lock table nestjs_callbacks.job_common in access exclusive mode');
          await this.lasting();
          await client.query('commit');
        }),
      // Whoever commits waits for it.
      'standby gone': this.between(
        () => this.#waitFor('gone'),
        () => this.#waitFor(''),
      ),
    });
  }

  query = (sql) => this.#onClient(async (client) => (await client.query(sql)).rows);

  look = () => keptIn(this.query);

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
export class TorturedRedis extends Tortured {
  static async start(random) {
    const server = await PrivateRedis.start();
    return new TorturedRedis(server, await Proxy.before(server.port), random);
  }

  constructor(server, proxy, random) {
    super(server, proxy, random, { crash: 'SIGKILL', orderly: 'SIGTERM' });
    this.limits = { rate: { limit: 40, perMs: 1_000 }, running: 4 };
    this.env = { REDIS_URL: proxy.url(server.url), PAUSE_MS: '75', LIMITS: JSON.stringify(this.limits) };
    this.pausable = ['Quick.go', 'Flaky.go'];
    this.isHeededByFormer = true;
    // Each instance's own clock decides what is due: further off, and what is to be tried again takes as long.
    this.skewsMs = [0, 0, 2_000, -2_000];
    const call = (...command) => server.ask((client) => client.call(...command));
    Object.assign(this.torments, {
      // As while a failover is made ready: whoever writes waits.
      lock: this.between(
        () => call('CLIENT', 'PAUSE', '60000', 'WRITE'),
        () => call('CLIENT', 'UNPAUSE'),
      ),
      // Whoever writes is refused.
      'standby gone': this.between(
        () => call('CONFIG', 'SET', 'min-replicas-to-write', '1'),
        () => call('CONFIG', 'SET', 'min-replicas-to-write', '0'),
      ),
    });
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
}
