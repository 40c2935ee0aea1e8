/** What `withEvents()` promises: events know of the transactions that `@nestjs-cls/transactional` opens. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Project, type Running } from '../support/child-process.js';
import { describeWith, findPostgres } from '../support/servers.js';
import type { Scene } from './program.js';

const server = await findPostgres();

describeWith('On a Postgres server (DATABASE_URL, or the local one),', server, (connectionString) => {
  const project = new Project();
  project.write('program.ts', readFileSync(new URL('program.ts', import.meta.url), 'utf8'));
  afterAll(() => project.remove());
  const layers = ['TypeORM', 'Drizzle'];
  const schemaOf = (layer: string) => `transactional_${layer.toLowerCase()}_${process.pid}`;
  const start = (layer: string) => project.start('program.js', { args: [layer, connectionString, schemaOf(layer)] });
  let programs: Record<string, Running>;
  // Both at once: each is busy with itself.
  beforeAll(() => {
    programs = Object.fromEntries(layers.map((layer) => [layer, start(layer)]));
  });

  describe.each(layers)('with %s, a run inside @Transactional()', (layer) => {
    let scenes: Record<string, Scene>;
    let adapter: unknown;
    beforeAll(async () => {
      const { output, code } = await programs[layer].ended;
      if (code !== 0) throw new Error(output);
      ({ scenes, adapter } = JSON.parse(output.trim().split('\n').at(-1)!));
    });

    it('belongs to it, and what waits for its end comes when it has ended', () => {
      expect(scenes.commits).toEqual({
        ran: ['badge Ada, inside', 'announce Ada, outside'],
        greeted: ['greet Ada'],
        users: ['Ada', 'badge of Ada', 'news of Ada'],
      });
    });

    it('is undone with it', () => {
      expect(scenes['is rolled back']).toEqual({
        ran: ['badge Ada, inside'],
        greeted: [],
        users: [],
        error: 'rolled back',
      });
    });

    it('lets an optional callback fail without it', () => {
      expect(scenes['optional fails'].users).toEqual(['Nobody', 'badge of Nobody', 'news of Nobody']);
      expect(scenes['optional fails'].greeted).toEqual(['greet Nobody']);
    });

    it('starts background callbacks outside of it', () => {
      expect(scenes['background callbacks']).toEqual({
        ran: ['background Ada, outside'],
        greeted: [],
        users: ['Ada'],
        error: 'rolled back',
      });
    });

    it('goes with the transaction that is open: a new one beside, one within, or none', () => {
      expect(scenes.propagates).toEqual({
        ran: [
          'badge Ada, inside',
          'badge Beside, inside',
          'announce Beside, outside',
          'badge Within, inside',
          'badge Without, outside',
          'announce Without, outside',
        ],
        greeted: ['greet Beside', 'greet Without'],
        users: ['Beside', 'badge of Beside', 'badge of Without', 'news of Beside', 'news of Without'],
        error: 'rolled back',
      });
    });

    it('is undone with a part of it that is rolled back', () => {
      expect(scenes['a part is rolled back']).toEqual({
        ran: ['badge Ada, inside', 'badge Within, inside', 'announce Ada, outside'],
        greeted: ['greet Ada'],
        users: ['Ada', 'badge of Ada', 'news of Ada'],
      });
    });

    it('leaves what else the adapter is and does as it is', () => {
      expect(adapter).toEqual({
        isInstance: true,
        token: 'DATABASE',
        started: ['yes'],
        fallback: { connection: 'a database' },
        nests: false,
      });
    });
  });
});
