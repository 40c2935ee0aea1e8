/** What Postgres needs for limits over all instances: a table, an index, and the groups of what was stored without. */
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { getConstructionPlans } from 'pg-boss';
import type { CallbackLimits, DurableCallback, DurableEngine } from 'nestjs-callbacks/engine';
import { postgres } from 'nestjs-callbacks/postgres';
import { until } from '../support/app.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { textOf } from './scene.js';
import { uuidv7 } from 'uuidv7';
import pg from 'pg';

describeWith('Limits on Postgres (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  let schema: string;
  let pool: pg.Pool;
  let engines: DurableEngine[];
  let schemas = 0;
  let begun: number;
  beforeEach(() => {
    schema = `limits_${process.pid}_${++schemas}`;
    pool = new pg.Pool({ connectionString });
    engines = [];
    begun = 0;
  });
  afterEach(async () => {
    await Promise.all(engines.map((engine) => engine.stop()));
    await pool.query(`drop schema if exists ${schema} cascade`);
    await pool.end();
  });

  const callback = (limits?: CallbackLimits): DurableCallback => ({
    event: 'user_joined',
    callback: 'Emails.greet',
    formerly: [],
    isOrdered: false,
    concurrency: 10,
    ...(limits && { limits }),
  });
  const GROUPS: CallbackLimits = { groups: { by: 'tenant', running: 1 } };

  async function open(options: { migrate?: boolean } = {}) {
    const engine = postgres({ connectionString, schema, ...options })();
    engines.push(engine);
    await engine.start({ instance: 'spec', log() {}, warn() {}, report() {} });
    return engine;
  }
  const stored = (engine: DurableEngine, tenant?: string) =>
    engine.store([
      {
        event: 'user_joined',
        callback: 'Emails.greet',
        id: uuidv7(),
        key: 'a',
        arguments: [],
        delayMs: 0,
        ...(tenant !== undefined && { headers: { tenant } }),
      },
    ]);
  const isIndexValid = async () => {
    const index = `to_regclass('${schema}.events_job_group')`;
    return (await pool.query(`select indisvalid as is from pg_index where indexrelid = ${index}`)).rows[0]?.is;
  };

  it('need no index, unless a callback limits groups', async () => {
    const engine = await open();
    await engine.declare([callback({ running: 1 })]);
    expect(await isIndexValid()).toBeUndefined();
  });

  it('of groups have their index made once, though several instances start at once', async () => {
    const all = await Promise.all([open(), open(), open()]);
    await Promise.all(all.map((engine) => engine.declare([callback(GROUPS)])));
    expect(await isIndexValid()).toBe(true);
  });

  it('of groups have an index made anew whose making was broken off', async () => {
    const engine = await open();
    await pool.query(`create index events_job_group on ${schema}.job_common (name, group_id, start_after)`);
    await pool.query(
      `update pg_index set indisvalid = false where indexrelid = '${schema}.events_job_group'::regclass`,
    );
    await engine.declare([callback(GROUPS)]);
    expect(await isIndexValid()).toBe(true);
  });

  it('find the groups of what was stored without, by who knows of none', async () => {
    const [former, engine] = [await open(), await open()];
    await former.declare([callback()]);
    for (const tenant of ['a', 'a', undefined, 'b']) await stored(former, tenant);
    await engine.declare([callback(GROUPS)]);
    await stored(former, 'b');
    const begun: (string | undefined)[] = [];
    engine.work(callback(GROUPS), async ({ delivery }) => {
      begun.push(delivery.headers?.tenant);
      await new Promise(() => {});
    });
    await until(() => begun.length === 3);
    expect(begun.map(String).toSorted()).toEqual(['a', 'b', 'undefined']);
  });

  it('are refused where the schema is an older one, and this engine may not change it', async () => {
    await pool.query(getConstructionPlans(schema));
    const engine = await open({ migrate: false });
    await expect(engine.declare([callback({ running: 1 })])).rejects.toThrow(
      `Emails.greet has limits, and the schema "${schema}" lacks the table and the functions for them, or this role may not use them. ` +
        `Run what upgradeSql('${schema}') returns`,
    );
  });

  it('of groups are refused where their index is not there, and this engine may not make it', async () => {
    await open();
    const engine = await open({ migrate: false });
    await expect(engine.declare([callback(GROUPS)])).rejects.toThrow(
      `Run, in no transaction: create index concurrently if not exists events_job_group on ${schema}.job_common`,
    );
  });

  it.each<[string, (engine: DurableEngine, limited: DurableCallback) => Promise<unknown>]>([
    ['is paused', (engine, { event, callback: id }) => engine.pause!({ event, callback: id })],
    [
      'has spent its rate',
      async (engine) => {
        await stored(engine);
        await until(() => begun === 1);
      },
    ],
  ])('do not have an ordered callback asked for again and again that %s', async (_, hold) => {
    const limited = { ...callback({ rate: { limit: 1, perMs: 3_600_000 } }), isOrdered: true };
    const engine = await open();
    await engine.declare([limited]);
    engine.work(limited, async (attempt) => {
      begun++;
      await attempt.complete();
    });
    await hold(engine, limited);
    await stored(engine);
    const asked = jest.spyOn(pg.Client.prototype, 'query');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const claims = asked.mock.calls.filter(([query]) => textOf(query).includes('events_limited_claim'));
    asked.mockRestore();
    expect(claims.length).toBeLessThan(20);
    expect(begun).toBeLessThan(2);
  });
});
