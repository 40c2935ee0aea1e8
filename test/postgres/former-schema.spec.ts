/** What lies in a schema of version 0.1.0, as an update of the package finds it. */
import { readFile } from 'node:fs/promises';
import { beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, EventDeliveries } from 'nestjs-callbacks';
import { startApp, until } from '../support/app.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { sceneOn } from './scene.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);
  const [ran, inOrder]: [string[], string[]] = [[], []];

  const note = (list: string[], what: unknown) =>
    list.push(
      `${typeof what === 'string' ? what : JSON.stringify(what)}, attempt ${currentEvent()!.delivery!.attempt}`,
    );

  @Injectable()
  class Emails {
    @Callback('x', { delivery: 'durable' }) async greet(what: unknown) {
      note(ran, what);
    }
  }

  @Injectable()
  class Ordered {
    @Callback('ordered', { delivery: 'durable', ordered: true }) async greet(what: string) {
      note(inOrder, what);
    }
  }

  beforeEach(async () => {
    ran.length = inOrder.length = 0;
    const dump = await readFile(new URL('fixtures/schema-0.1.0.sql', import.meta.url), 'utf8');
    await scene.pool.query(dump.replaceAll('nestjs_callbacks', scene.schema));
  });

  const ofKey = (key: string) => inOrder.filter((what) => what.startsWith(key));

  it.each([true, false])(
    'what an older version has stored is performed, in order, with the attempts that it had (migrate: %p)',
    async (migrate) => {
      const { app, events } = await startApp([Emails, Ordered], scene.options({ migrate }));
      const deliveries = app.get(EventDeliveries);
      await events.with({ key: 'a' }).run('ordered', 'a6');
      await until(() => ran.length >= 6 && inOrder.length >= 11);
      const counts = async () =>
        (await deliveries.counts()).toSorted((one, other) => (one.event < other.event ? -1 : 1));
      await until(async () => (await counts()).every(({ running }) => running === 0));
      expect(ran.toSorted()).toEqual([
        'broken off, attempt 2',
        'delayed, attempt 1',
        'failed once, attempt 2',
        'was running, attempt 2',
        'with a key, attempt 1',
        '{"at":"1970-01-01T00:00:00.000Z"}, attempt 1',
      ]);
      expect(ofKey('a')).toEqual([2, 3, 4, 5, 6].map((number) => `a${number}, attempt 1`));
      expect(ofKey('b')).toEqual(['b1, attempt 2', 'b2, attempt 1', 'b3, attempt 1']);
      expect(ofKey('c')).toEqual(['c1, attempt 2', 'c2, attempt 1', 'c3, attempt 1']);
      // The first of this key is dead, and one has its time a hundred years from when it was stored.
      expect(ofKey('d')).toEqual([]);
      expect(await counts()).toMatchObject([
        { event: 'ordered', waiting: 2, delayed: 0, running: 0, dead: 1 },
        { event: 'x', waiting: 0, delayed: 1, running: 0, dead: 1 },
      ]);

      expect((await deliveries.list()).found.map(({ error }) => error)).toEqual(
        [1, 2].map(() => ({ name: 'Error', message: 'no' })),
      );
      expect(await deliveries.retry({})).toBe(2);
      await until(() => ofKey('d').length === 3 && ran.length === 7);
      expect(ofKey('d')).toEqual(['d1, attempt 1', 'd2, attempt 1', 'd3, attempt 1']);
      expect(ran.at(-1)).toBe('dead, attempt 1');
    },
  );
});
