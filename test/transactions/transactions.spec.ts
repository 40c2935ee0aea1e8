/** Events in transactions of every data layer on a Postgres server. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { postgres } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { closeApps, startApp } from '../support/app.js';
import { LAYERS } from '../support/layers.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { Reactions, specify } from './layer-specification.js';
import { specifyUnawaited } from './unawaited-specification.js';
import { temporaryDatabase } from './temporary-database.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one),', await findPostgres(), (admin) => {
  // One for all: making a database takes longer than most that is done with it.
  const database = temporaryDatabase(admin, 'nestjs_callbacks');
  const schemaElsewhere = `other_${process.pid}`;
  let pool: pg.Pool;
  beforeAll(async () => {
    await database.create();
    pool = new pg.Pool({ connectionString: database.url, max: 2 });
  });
  afterAll(async () => {
    await pool.end();
    await database.drop();
    await database.administer(`drop schema ${schemaElsewhere} cascade`);
  });

  for (const { name, open } of LAYERS) {
    describe(`with ${name},`, () => {
      specify(async () => ({
        layer: await open(database.url),
        engine: { connectionString: database.url },
        query: (text) => pool.query(text),
      }));

      specifyUnawaited(async () => ({
        layer: await open(database.url),
        engine: { connectionString: database.url },
        query: (text) => pool.query(text),
      }));

      it('a transaction of another database is refused, and left as it was', async () => {
        const layer = await open(database.url);
        const { events } = await startApp([Reactions], {
          engine: postgres({ connectionString: admin, schema: schemaElsewhere }),
        });
        await layer.transaction(async (tx) => {
          await layer.query(tx, `insert into users (name, email) values ('elsewhere', '')`);
          await expect(events.with({ tx }).run('user_left', 'Ada')).rejects.toMatchObject({
            code: 'EVENTS_TRANSACTION_FOREIGN',
          });
        });
        await closeApps();
        await layer.close();
        expect((await pool.query(`select from users where name = 'elsewhere'`)).rowCount).toBe(1);
      });
    });
  }
});
