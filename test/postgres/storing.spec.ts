/** What the Postgres engine promises of many runs at once: in one transaction, for one key, large, or behind others. */
import { randomUUID } from 'node:crypto';
import { afterEach, expect, it, jest } from '@jest/globals';
import { type EventRunner, inTransaction } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import pg from 'pg';

import { deferred, startApp, until } from '../support/app.js';
import { Emails, Ordered, ran } from '../support/engine-suite.js';
import { inPgTransaction } from '../support/pg-transaction.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { callbackOf, deliveryOf, sceneOn } from './scene.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);
  afterEach(() => {
    jest.restoreAllMocks();
  });

  const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
  const codesOf = async (runs: readonly Promise<unknown>[]) =>
    (await Promise.allSettled(runs)).map((result) =>
      result.status === 'fulfilled' ? 'stored' : (result.reason as { code: string }).code,
    );
  const open = (work: (client: pg.PoolClient) => Promise<void>) => inPgTransaction(scene.pool, work);
  const stored = async () => {
    const { rows } = await scene.pool.query(`select count(*)::int as count from ${scene.schema}.job`);
    return (rows[0] as { count: number }).count;
  };

  it('C2: twenty runs at once of five million characters each are all stored', async () => {
    const { events } = await startApp([Emails], scene.options({}, { work: false }));
    const text = 'x'.repeat(5_000_000);
    expect(new Set(await codesOf(numbers(20).map(() => events.run('x', text))))).toEqual(new Set(['stored']));
    expect(await stored()).toBe(20);
  });

  it('C25: a run that is too large for any string fails alone, and says so', async () => {
    const { events } = await startApp([Emails], scene.options({}, { work: false }));
    // Six characters of JSON each.
    const large = Array.from({ length: 18 }, () => '\x01'.repeat(5_000_000));
    let results: PromiseSettledResult<void>[] = [];
    await inTransaction(open, async () => {
      results = await Promise.allSettled([1, large, 2].map((what) => events.run('x', what)));
    });
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({
      reason: {
        code: 'EVENTS_STORE_FAILED',
        message: expect.stringContaining('its arguments are too large to be written as JSON: Invalid string length'),
      },
    });
    expect(await stored()).toBe(2);
  });

  it('what waits behind others waits as long as those are stored, each in its time', async () => {
    const { events } = await startApp([Emails], scene.options({ storeTimeoutMs: 2_000 }, { work: false }));
    await scene.pool.query(`
      create function ${scene.schema}.linger() returns trigger language plpgsql as $$ begin
        perform pg_sleep(0.8); return new; end $$;
      create trigger linger before insert on ${scene.schema}.job_common for each row execute function ${scene.schema}.linger();`);
    const large = 'x'.repeat(1_100_000);
    expect(await codesOf(numbers(4).map(() => events.run('x', large)))).toEqual(Array(4).fill('stored'));
  });

  it('B10: ten thousand runs at once in one transaction are stored by a few statements', async () => {
    const { events } = await startApp([Emails], scene.options({}, { work: false }));
    const query = jest.spyOn(pg.Client.prototype, 'query');
    await inTransaction(open, async () => {
      await Promise.all(numbers(10_000).map((number) => events.run('x', number)));
    });
    expect(query.mock.calls.length).toBeLessThan(100);
    expect(await stored()).toBe(10_000);
  });

  it('B10: runs one by one in a transaction take a statement each, by which it is known', async () => {
    const { events } = await startApp([Emails, Ordered], scene.options({}, { work: false }));
    const query = jest.spyOn(pg.Client.prototype, 'query');
    const statements = () => query.mock.calls.length;
    await inTransaction(open, async () => {
      await events.run('x', 0);
      const before = statements();
      for (const number of numbers(20)) await events.with({ key: 'k' }).run(number % 2 ? 'x' : 'ordered', number);
      expect(statements() - before).toBe(20);
    });
    expect(await stored()).toBe(21);
  });

  it('a client that has stored in a transaction stores in its next, and not after that', async () => {
    const engine = await scene.open([callbackOf()]);
    const client = await scene.pool.connect();
    for (const times of [1, 2]) {
      await client.query('begin');
      await engine.store([deliveryOf()], client);
      // This undoes what a savepoint has remembered of the transaction.
      await client.query('savepoint a');
      await engine.store([deliveryOf()], client);
      await client.query('rollback to savepoint a');
      await engine.store([deliveryOf()], client);
      await client.query('commit');
      expect(await stored()).toBe(2 * times);
    }
    await expect(engine.store([deliveryOf()], client)).rejects.toMatchObject({ reason: 'over' });
    client.release();
    expect(await stored()).toBe(4);
  });

  const storedInOrder = async () => {
    const { rows } = await scene.pool.query(
      `select (data->'arguments'->>0)::int as number from ${scene.schema}.job order by created_on, id`,
    );
    return (rows as { number: number }[]).map(({ number }) => number);
  };

  it.each(['x', 'ordered'])(
    'runs of %p at once have their places in the order of the calls, whatever their ids',
    async (event) => {
      const { events } = await startApp([Emails, Ordered], scene.options({}, { work: false }));
      const run = (number: number) => events.with({ key: 'k', id: randomUUID() }).run(event, number);
      await Promise.all(numbers(1_000).map(run));
      await inTransaction(open, async () => {
        await Promise.all(numbers(1_000).map((number) => run(1_000 + number)));
        await run(2_000);
      });
      expect(await storedInOrder()).toEqual(numbers(2_001));
    },
  );

  it('runs of a key at once are performed in the order of the calls', async () => {
    const { events } = await startApp([Ordered], scene.options());
    const run = (number: number) => events.with({ key: 'k', id: randomUUID() }).run('ordered', number);
    await Promise.all(numbers(50).map(run));
    await inTransaction(open, async () => {
      await Promise.all(numbers(50).map((number) => run(50 + number)));
    });
    await until(() => ran.length === 100);
    expect(ran).toEqual(numbers(100));
  });

  it('C27: while keys are locked, few sessions wait for them, none longer than its run, and all others go on', async () => {
    const place = { ...scene.placeByUrl, connections: 6, storeTimeoutMs: 3_000 };
    const { events } = await startApp([Emails, Ordered], { engine: postgres(place) });
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const [isHeld, mayEnd] = [deferred(), deferred()];
    const holding = inTransaction(open, async () => {
      for (const key of keys) await events.with({ key }).run('ordered', `${key} first`);
      isHeld.resolve();
      await mayEnd.promise;
    });
    try {
      await isHeld.promise;
      await whileHeld(events, keys);
    } finally {
      mayEnd.resolve();
      await holding;
    }
    await events.with({ key: 'a' }).run('ordered', 'a second');
    await until(() => ran.includes('a second') && ran.length === 10);
    expect(ran.indexOf('a first')).toBeLessThan(ran.indexOf('a second'));
  });

  const waiting = async () => {
    // The server tells only how a statement begins.
    const { rows } = await scene.pool.query(
      `select from pg_stat_activity where wait_event = 'advisory' and query like '%${scene.schema}.%'`,
    );
    return rows.length;
  };

  async function whileHeld(events: EventRunner, keys: readonly string[]) {
    let areOver = false;
    const runs = numbers(70).map((number) => events.with({ key: keys[number % keys.length] }).run('ordered', 'never'));
    const codes = codesOf(runs).finally(() => (areOver = true));
    await until(async () => (await waiting()) > 0);
    await events.run('x', 'unordered');
    await events.with({ key: 'free' }).run('ordered', 'of a free key');
    expect(areOver).toBe(false);
    let most = 0;
    await until(async () => {
      most = Math.max(most, await waiting());
      return areOver;
    });
    // Half of them.
    expect(most).toBeLessThanOrEqual(3);
    expect(await codes).not.toContain('stored');
    await until(() => ran.length === 2);
    expect(ran.toSorted()).toEqual(['of a free key', 'unordered']);
    // The transaction is still open.
    await until(async () => (await waiting()) === 0);
  }
});
