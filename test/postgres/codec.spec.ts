/** What nobody reads in a Postgres database who has no codec. */
import { it } from '@jest/globals';
import { describeWith, findPostgres } from '../support/servers.js';
import { keepsSecrets } from '../support/sealed.js';
import { sceneOn } from './scene.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);

  it('arguments and texts of errors are readable nowhere in the schema, nor in the log', async () => {
    await keepsSecrets(scene.options(), async () => {
      const { rows } = await scene.pool.query(
        `select relname as name from pg_class where relnamespace = $1::regnamespace and relkind in ('r', 'm')`,
        [scene.schema],
      );
      const texts: string[] = [];
      for (const { name } of rows as { name: string }[]) {
        const found = await scene.pool.query(`select row::text as text from ${scene.schema}.${name} as row`);
        texts.push(...(found.rows as { text: string }[]).map(({ text }) => text));
      }
      return texts.join('\n');
    });
  });
});
