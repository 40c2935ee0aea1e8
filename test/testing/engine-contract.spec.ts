/** The contract of engines: each engine here keeps it, and for each rule there is a broken one that it catches. */
import { afterAll, beforeAll, describe } from '@jest/globals';
import type { DurableEngine } from 'nestjs-callbacks/engine';
import { postgres } from 'nestjs-callbacks/postgres';
import { redis } from 'nestjs-callbacks/redis';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { Redis } from 'ioredis';
import pg from 'pg';
import { keepsTheContract } from '../support/contract.js';
import { inPgTransaction } from '../support/pg-transaction.js';
import { describeWith, findPostgres, findRedis } from '../support/servers.js';

const server = await findPostgres();
const redisServer = await findRedis();

describe('The memory engine', () => {
  const store = new MemoryStore();
  const open = (leaseMs: number) => memoryEngine({ store, leaseMs })();
  keepsTheContract(() => ({ open, leaseMs: 1_000, cutOff: (engine) => engine.stop() }), {
    offers: ['order', 'pause', 'several sessions', 'postponing', 'search', 'history', 'limits', 'groups'],
    atATime: Infinity,
  });
});

describeWith('The Postgres engine on a server (DATABASE_URL, or the local one)', server, (connectionString) => {
  const schema = `contract_${process.pid}`;
  const pools: pg.Pool[] = [];
  let shared: pg.Pool;
  beforeAll(() => {
    shared = new pg.Pool({ connectionString });
  });
  afterAll(async () => {
    // An instance that was cut off may still be in the middle of a statement.
    await Promise.all(pools.map((pool) => pool.end()));
    await shared.query(`drop schema if exists ${schema} cascade`);
    await shared.end();
  });

  const poolOf = new WeakMap<DurableEngine, pg.Pool>();
  keepsTheContract(
    () => ({
      leaseMs: 2_000,
      open(leaseMs) {
        const pool = new pg.Pool({ connectionString, max: 5, idleTimeoutMillis: 200 });
        pools.push(pool);
        const engine = postgres({ pool, schema, leaseMs })();
        poolOf.set(engine, pool);
        return engine;
      },
      cutOff(engine) {
        const pool = poolOf.get(engine)!;
        pool.connect = () => Promise.reject(new Error('cut off'));
      },
      transaction: (work) => inPgTransaction(shared, work),
    }),
    {
      offers: [
        'order',
        'transactions',
        'pause',
        'several sessions',
        'postponing',
        'search',
        'history',
        'limits',
        'groups',
      ],
      atATime: 6,
    },
  );
});

describeWith('The Redis engine (REDIS_URL, or the local server)', redisServer, (url) => {
  const prefix = `{contract-${process.pid}}`;
  afterAll(async () => {
    const client = new Redis(url);
    const keys = await client.keys(`${prefix}:*`);
    if (keys.length > 0) await client.del(keys);
    client.disconnect();
  });

  keepsTheContract(
    () => ({
      leaseMs: 2_000,
      open: (leaseMs) => redis({ url, prefix, leaseMs })(),
      cutOff(engine) {
        (engine as unknown as { opened: { connections: { close(): void } } }).opened.connections.close();
      },
    }),
    { offers: ['pause', 'several sessions', 'postponing', 'search', 'history', 'limits'], atATime: 6 },
  );
});
