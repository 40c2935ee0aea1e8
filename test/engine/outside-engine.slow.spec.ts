/** From `nestjs-callbacks/engine` alone a package outside can write an engine that keeps the contract: one here does. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { PGlite } from '@electric-sql/pglite';
import { Injectable } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import type { DurableEngine } from 'nestjs-callbacks/engine';
import { closeApps, startApp, until } from '../support/app.js';
import { keepsTheContract } from '../support/contract.js';
import { openPGlite } from '../support/pglite-folder.js';
import { tableEngine } from './table-engine/table-engine.js';

let database: PGlite;
beforeAll(async () => {
  database = await openPGlite();
});
afterAll(() => database.close());

describe('An engine that knows nothing but nestjs-callbacks/engine', () => {
  const cut = new WeakSet<DurableEngine>();
  keepsTheContract(
    () => ({
      leaseMs: 2_000,
      open(leaseMs) {
        const whenConnected = <T>(ask: () => Promise<T>): Promise<T> =>
          cut.has(engine) ? Promise.reject(new Error('cut off')) : ask();
        const engine = tableEngine({
          database: {
            query: (sql, parameters) => whenConnected(() => database.query(sql, parameters)),
            exec: (sql) => whenConnected(() => database.exec(sql)),
            close: () => database.close(),
          },
          leaseMs,
        })();
        return engine;
      },
      cutOff: (engine) => void cut.add(engine),
      transaction: (work) => database.transaction((transaction) => work(transaction)),
    }),
    { offers: ['order', 'transactions'], atATime: 6 },
  );

  it('imports nothing else, but Node and its own database', () => {
    const folder = fileURLToPath(new URL('table-engine', import.meta.url));
    const files = readdirSync(folder, { encoding: 'utf8' });
    const imported = files.flatMap((file) => {
      const source = readFileSync(join(folder, file), 'utf8');
      return [...source.matchAll(/(?:\bfrom |\bimport |\bimport\(|\brequire\()'([^']+)'/g)].map(([, name]) => name);
    });
    const own = files.map((file) => `./${file.replace(/\.ts$/, '.js')}`);
    const others = imported.filter((name) => !own.includes(name) && !name.startsWith('node:'));
    expect([...new Set(others)].toSorted()).toEqual(['@electric-sql/pglite', 'nestjs-callbacks/engine']);
  });
});

describe('An application', () => {
  afterEach(closeApps);

  it('takes such an engine as any other', async () => {
    const ran: string[] = [];
    @Injectable()
    class Emails {
      @Callback('user_joined', { delivery: 'durable' }) greet(name: string) {
        ran.push(name);
      }
    }
    const { events } = await startApp([Emails], { engine: tableEngine({ database }) });
    await events.run('user_joined', 'Ada');
    await until(() => ran.length === 1);
    expect(ran).toEqual(['Ada']);
  });

  it('is told what such an engine was given that will not do', () => {
    expect(() => tableEngine({ leaseMs: 10 })).toThrow('tableEngine() was given leaseMs: 10. Pass milliseconds');
  });
});
