/** What `postgres()` takes, and what it says of the rest. */
import { afterAll, describe } from '@jest/globals';
import { postgres } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { engineSuite } from '../support/engine-suite.js';

const oneOf =
  'Pass one of { connectionString }, { pool }, { folder } and { pglite }; of connectionString and folder both, to use the folder where there is no server.';

describe('postgres()', () => {
  const small = new pg.Pool({ max: 1 });
  afterAll(() => small.end());

  engineSuite({
    name: 'Postgres',
    engineOf: postgres,
    refused: [
      [{}, `postgres() was given no database. ${oneOf}`],
      [
        { folder: '.data', pglite: { query() {}, exec() {}, transaction() {}, listen() {} } },
        `postgres() was given folder and pglite. ${oneOf}`,
      ],
      [{ pool: 'postgres://' }, "postgres() was given a wrong pool. Pass a Pool of node-postgres ('pg')."],
      [{ pool: small }, 'postgres() was given a pool of 1, and listening alone takes one. Let it have 3 or more.'],
      [
        { folder: '.', schema: 'My Schema' },
        'postgres() was given a wrong schema. Pass a name of small letters, digits and _, at most 50.',
      ],
      [
        { folder: '.', leaseMs: 500 },
        'postgres() was given a wrong leaseMs. Pass milliseconds, a multiple of 1000, 24 days at most.',
      ],
      [
        { folder: '.', keepFor: 5 },
        'postgres() has no option keepFor. There are connectionString, pool, folder, pglite, schema, migrate, leaseMs, storeTimeoutMs, keepCompletedMs, connections.',
      ],
    ],
    absent: {
      options: { connectionString: 'postgres://postgres@127.0.0.1:1/nothing' },
      message: /no connection: .*ECONNREFUSED 127\.0\.0\.1:1/,
    },
  });
});
