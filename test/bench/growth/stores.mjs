// A store on Postgres that is filled by SQL, and whose statements and processes are watched.
import pg from 'pg';
import { postgres, start } from './application.mjs';
import { measureCpu } from './measure.mjs';

const connectionString = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres';
/** Foreign keys need no check here. */
const SEEDING = '-c maintenance_work_mem=256MB -c session_replication_role=replica';
const admin = new pg.Pool({ connectionString, max: 1, options: SEEDING });
const schemas = [];

/** A pool, the processes that serve it, and the statements that were sent through it, with how long each took. */
export function watchedPool(max) {
  const clients = new Set();
  const statements = [];
  class Client extends pg.Client {
    constructor(config) {
      super(config);
      clients.add(this);
    }

    query(config, values, callback) {
      const startedAt = performance.now();
      const text = typeof config === 'string' ? config : config.text;
      const note = () => statements.push({ text, ms: performance.now() - startedAt });
      const last = [values, callback].findLast((argument) => typeof argument === 'function');
      const noted = (...answer) => {
        note();
        last(...answer);
      };
      if (last) return last === callback ? super.query(config, values, noted) : super.query(config, noted);
      const answer = super.query(config, values);
      answer?.then?.(note, note);
      return answer;
    }
  }
  const pool = new pg.Pool({ connectionString, max, idleTimeoutMillis: 0, Client });
  pool.on('error', () => {});
  const pids = () => [...clients].flatMap(({ processID }) => processID ?? []);
  return { pool, pids, statements };
}

/** A store, in a schema of its own. */
export function openStore() {
  const schema = `growth_${process.pid}_${schemas.length + 1}`;
  schemas.push(schema);
  const store = {
    schema,
    /** Starts an instance, which has a pool of its own. */
    async start({ connections = 10, ...options }) {
      const watched = watchedPool(connections);
      const app = await start(postgres({ pool: watched.pool, schema }), options);
      const close = async () => {
        await app.close();
        await watched.pool.end();
      };
      return { ...app, ...watched, close, measureCpu: () => measureCpu(watched.pids) };
    },
    seed: (seeds, options) => seed(store, seeds, options),
    drop: () => admin.query(`drop schema if exists ${schema} cascade`),
  };
  return store;
}

export const dropAll = async () => {
  for (const schema of schemas) await admin.query(`drop schema if exists ${schema} cascade`);
  await admin.end();
};

/**
 * Fills a store: the package stores one delivery, of which each seed inserts so many copies. A seed is `{ count }` with SQL
 * for whatever is to be different, in which `n` is the number of the copy.
 */
async function seed({ schema, start: startInstance }, seeds, { ordered = false } = {}) {
  const app = await startInstance({ work: false, ordered });
  await app.events.with(ordered ? { key: 'template' } : {}).run('x', 'Ada', 'ada@example.org');
  await app.close();
  const { rows } = await admin.query(
    `select id from ${schema}.job_common where name not like '\\_%' and state = 'created'`,
  );
  const template = rows.at(-1).id;
  await withoutIndexes(schema, async () => {
    for (const { count, ...columns } of seeds) await copy(schema, template, count, columns);
  });
  await admin.query(`delete from ${schema}.job_common where id = '${template}'`);
  await admin.query(`vacuum (analyze) ${schema}.job_common`);
}

/** To build an index of a million takes a fraction of what it takes to fill it row by row. */
async function withoutIndexes(schema, fill) {
  const { rows } = await admin.query(`
    select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
    where indrelid = '${schema}.job_common'::regclass and not indisprimary
      and not exists (select from pg_inherits where inhrelid = indexrelid)`);
  for (const { name } of rows) await admin.query(`drop index ${name}`);
  await fill();
  await admin.query(rows.map(({ definition }) => `${definition};`).join('\n'));
}

let copies = 0;

async function copy(schema, template, count, columns) {
  const values = {
    id: `('01900000-${(++copies).toString(16).padStart(4, '0')}-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`,
    created_on: `now() - interval '1 hour' + n * interval '1 microsecond'`,
    start_after: `now() - interval '1 hour' + n * interval '1 microsecond'`,
    ...columns,
  };
  const found = await admin.query(
    `select attname from pg_attribute where attrelid = '${schema}.job_common'::regclass and attnum > 0 and attgenerated = ''
      and not attisdropped`,
  );
  const names = found.rows.map(({ attname }) => attname);
  await admin.query(`
    insert into ${schema}.job_common (${names.join(', ')})
    select ${names.map((name) => values[name] ?? name).join(', ')}
    from ${schema}.job_common cross join generate_series(1, ${count}) as n where id = '${template}'`);
}

export const DELAYED = { start_after: `now() + interval '1 day'` };
export const BACKING_OFF = { ...DELAYED, state: `'retry'`, started_on: `now() - interval '1 hour'` };
export const COMPLETED = { state: `'completed'`, started_on: 'now()', completed_on: 'now()' };
export const DEAD = {
  state: `'failed'`,
  started_on: 'now()',
  completed_on: 'now()',
  deletion_seconds: '0',
  output: `'{"name":"Error","message":"seeded"}'`,
};
/** Over so many keys, in turns. */
export const overKeys = (keys) => ofKey(`'key' || (n % ${keys})`);
export const ofKey = (key) => ({ singleton_key: key, data: `jsonb_set(data, '{key}', to_jsonb(${key}))` });
