/** `clsPropagator()` beside `@nestjs-cls/transactional`, which keeps its transaction in the same store. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeWith, findPostgres } from '../support/servers.js';
import { Programs } from './programs.js';
import type { Scene } from './transactional-program.js';

/** What is done for a tenant once its transaction has committed: in its callbacks, and in what those run. */
const committed = (tenant: string): Scene => ({
  ran: [
    `announce of ${tenant}, outside`,
    `announce, later, of ${tenant}, outside`,
    `greet 1 of ${tenant}, outside`,
    `greet 2 of ${tenant}, outside`,
    `greet, later, 2 of ${tenant}, outside`,
    `hear 1 of ${tenant}, outside`,
    `tell of ${tenant}, inside`,
    `write 1 of ${tenant}, inside`,
    `write 2 of ${tenant}, inside`,
  ],
  rows: [`greeting 2 of ${tenant}`, `hearing of ${tenant}`, `news of ${tenant}`, `told of ${tenant}`],
});

const regretted = { ran: ['regret of acme, outside'], rows: ['regret of acme'] };

const server = await findPostgres();

describeWith('On a Postgres server (DATABASE_URL, or the local one),', server, (connectionString) => {
  const programs = new Programs();
  let scenes: Record<string, Scene>;
  beforeAll(async () => {
    scenes = await programs.resultOf('transactional-program', connectionString, `cls_${process.pid}`);
  });
  afterAll(() => programs.remove());

  describe('a run inside @Transactional()', () => {
    it('has its callbacks find the tenant, and no transaction but their own', () => {
      const { ran, rows } = committed('acme');
      expect(scenes.commits).toEqual({ ran, rows: [...rows, 'user of acme'] });
    });

    it('that is rolled back leaves nothing, and has what waited for that find the tenant', () => {
      expect(scenes['is rolled back']).toEqual(regretted);
    });

    it('of one tenant is not mixed with that of another within it', () => {
      const { ran, rows } = committed('globex');
      expect(scenes['has another beside it']).toEqual({
        ran: [...ran, ...regretted.ran].toSorted(),
        rows: [...rows, ...regretted.rows, 'user of globex'].toSorted(),
      });
    });

    it('has its callbacks find the tenant of its header, and no transaction but their own', () => {
      const { ran, rows } = committed('umbrella');
      expect(scenes['is of a header']).toEqual({ ran, rows: [...rows, 'user of acme'] });
    });
  });
});
