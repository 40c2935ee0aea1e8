/** The contract of engines on PGlite, whose database takes seconds of computing to open. */
import { afterAll, beforeAll, describe } from '@jest/globals';
import type { PGlite } from '@electric-sql/pglite';
import type { DurableEngine, SqlTransaction } from 'nestjs-callbacks/engine';
import { postgres } from 'nestjs-callbacks/postgres';
import { keepsTheContract } from '../support/contract.js';
import { openPGlite } from '../support/pglite-folder.js';

describe('The Postgres engine on PGlite', () => {
  let database: PGlite;
  beforeAll(async () => {
    database = await openPGlite();
    // It has one session, in which only one instance at a time can make the tables.
    const engine = postgres({ pglite: database })();
    await engine.start({ instance: 'here', log() {}, warn() {}, report() {} });
    await engine.stop();
  });
  afterAll(() => database.close());

  const pglites = new WeakMap<DurableEngine, { isCut: boolean }>();
  keepsTheContract(
    () => ({
      leaseMs: 2_000,
      open(leaseMs) {
        const state = { isCut: false };
        const refuse = () => Promise.reject(new Error('cut off'));
        const pglite = {
          query: (sql: string, params?: unknown[]) => (state.isCut ? refuse() : database.query(sql, params)),
          exec: (sql: string) => (state.isCut ? refuse() : database.exec(sql)),
          transaction: (work: (tx: unknown) => Promise<unknown>) => database.transaction(work as never),
          listen: (channel: string, listener: (payload: string) => void) => database.listen(channel, listener),
        };
        const engine = postgres({ pglite: pglite as never, leaseMs })();
        pglites.set(engine, state);
        return engine;
      },
      cutOff(engine) {
        pglites.get(engine)!.isCut = true;
      },
      transaction: (work) => database.transaction((tx) => work(tx as unknown as SqlTransaction)),
    }),
    { offers: ['order', 'transactions', 'pause', 'postponing', 'search', 'history', 'limits', 'groups'], atATime: 6 },
  );
});
