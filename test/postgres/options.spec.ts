/** What `postgres()` takes, and what it says of the rest. */
import { afterAll, describe, expect, it } from '@jest/globals';
import { postgres } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { engineSuite } from '../support/engine-suite.js';

const oneOf =
  'Pass one of { connectionString }, { pool }, { folder } and { pglite }; of connectionString and folder both, to use the folder where there is no server.';

const URL_WANTED = 'Pass one as in postgres://user@host/database.';

/** C14 */
const faulty = [
  ['mysql://ada:secret@host/base', `It begins with mysql://. ${URL_WANTED}`],
  ['https://host/base', `It begins with https://. ${URL_WANTED}`],
  ['"postgres://ada:secret@host/base"', 'It stands in quotes, which are part of the value: remove them.'],
  ['host=localhost password=secret', `It is no URL. ${URL_WANTED}`],
  ['localhost:5432/base', `It is no URL. ${URL_WANTED}`],
  [
    'postgres://ada:secret@one:5432,two:5432/base',
    'It names several hosts, and node-postgres takes one. Name the primary server, or what stands before them.',
  ],
  [
    'postgres://ada:sec/ret@host:5432/base',
    'It cannot be read: a password with / ? # @ or % in it must be encoded (encodeURIComponent).',
  ],
] as const;

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
      ...faulty.map(([connectionString, fault]): [object, string] => [
        { connectionString },
        `postgres() was given a wrong connectionString. ${fault}`,
      ]),
      [
        { folder: 'memory://' },
        'postgres() was given a wrong folder. Pass the path of a folder; of a database in memory or elsewhere, pass what makes it: { pglite: await PGlite.create(…) }.',
      ],
      [{ pool: 'postgres://' }, "postgres() was given a wrong pool. Pass a Pool of node-postgres ('pg')."],
      [{ pool: small }, 'postgres() was given a pool of 1, and listening alone takes one. Let it have 3 or more.'],
      [
        { folder: '.', schema: 'My Schema' },
        'postgres() was given a wrong schema. Pass a name of small letters, digits and _, at most 50.',
      ],
      [
        { folder: '.', leaseMs: 500 },
        'postgres() was given leaseMs: 500. Pass milliseconds, 1000 or more, a multiple of 1000, 24 days at most.',
      ],
      [
        { folder: '.', keepFor: 5 },
        'postgres() has no option keepFor. There are connectionString, pool, folder, pglite, schema, migrate, leaseMs, storeTimeoutMs, keepCompletedMs, keepDeadMs, connections.',
      ],
    ],
    absent: {
      options: { connectionString: 'postgres://postgres@127.0.0.1:1/nothing' },
      message: /no connection: .*ECONNREFUSED 127\.0\.0\.1:1/,
    },
  });
});

describe('The URL of a server', () => {
  const { USER, PGUSER, USERNAME } = process.env;
  afterAll(() => void Object.assign(process.env, withoutUndefined({ USER, PGUSER, USERNAME })));
  const refusal = (connectionString: string) => {
    try {
      postgres({ connectionString })();
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };

  it('C14: needs a user, in it or in PGUSER', () => {
    for (const name of ['USER', 'PGUSER', 'USERNAME']) delete process.env[name];
    expect(refusal('postgres://localhost/base')).toBe(
      `postgres() was given a wrong connectionString. It names no user, and PGUSER is not set. ${URL_WANTED}`,
    );
    process.env.PGUSER = 'ada';
    expect(refusal('postgres://localhost/base')).toBeUndefined();
    delete process.env.PGUSER;
  });

  it.each([
    'postgres://ada@localhost/base',
    'postgresql://ada:p%40ss@localhost:5432/base?sslmode=require',
    'postgres://ada@/base?host=/var/run/postgresql',
    'postgres:///base?host=/var/run/postgresql&user=ada',
    'postgres://ada@[::1]:5432/base',
    "postgres://ada:secret@localhost/base?options=a@b,c%3D'd'",
    'socket:/var/run/postgresql?db=base',
    '/var/run/postgresql base',
  ])('C14: may be %s', (connectionString) => {
    expect(refusal(connectionString)).toBeUndefined();
  });
});

const withoutUndefined = (fields: Record<string, string | undefined>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
