/** What engines that share the application's own PGlite do to its `transaction()`, and that they put it back. */
import { PGlite } from '@electric-sql/pglite';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, type EventRunner } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { closeApps, startApp } from '../support/app.js';
import { openPGlite } from '../support/pglite-folder.js';

@Injectable()
class Emails {
  @Callback('x', { delivery: 'durable' }) async greet() {}
}

describe('Two engines on one PGlite', () => {
  let pglite: PGlite;
  beforeAll(async () => {
    pglite = await openPGlite();
  });
  afterAll(() => pglite.close());
  afterEach(closeApps);

  const start = (schema: string) => startApp([Emails], { engine: postgres({ pglite, schema }) });
  const isRefusedInside = (events: EventRunner) =>
    pglite.transaction(() =>
      events.run('x').then(
        () => false,
        (error: Error) => error.message.includes('a transaction of PGlite is open here'),
      ),
    );

  it.each([
    ['the first', 0],
    ['the second', 1],
  ])('leave it as it was, and each notices transactions until it closes, if %s closes first', async (_which, first) => {
    const { transaction } = pglite;
    const apps = [await start('one'), await start('two')];
    for (const { events } of apps) expect(await isRefusedInside(events)).toBe(true);

    await apps[first].app.close();
    const left = apps[1 - first];
    expect(await isRefusedInside(left.events)).toBe(true);
    await left.app.close();
    expect(pglite.transaction).toBe(transaction);
    expect(Object.hasOwn(pglite, 'transaction')).toBe(false);
  });

  it('leave alone what somebody else has put there since, which goes on to work', async () => {
    const { app } = await start('one');
    const spy = jest.spyOn(pglite, 'transaction');
    await app.close();
    expect(pglite.transaction).toBe(spy);
    expect(await pglite.transaction(async () => 'done')).toBe('done');

    const again = await start('one');
    expect(await isRefusedInside(again.events)).toBe(true);
    await again.app.close();
    expect(pglite.transaction).toBe(spy);
    spy.mockRestore();
  });
});

describe("The application's own PGlite", () => {
  const said = async (pglite: PGlite) => {
    const { log } = await startApp([Emails], { engine: postgres({ pglite }) });
    await closeApps();
    await pglite.close();
    return log.of('log').filter((line) => line.startsWith('Deliveries are kept'));
  };

  it('is said to lose deliveries with the process, if it is in memory', async () => {
    expect(await said(await PGlite.create())).toEqual([
      'Deliveries are kept in memory, in the PGlite that postgres() was given: they are gone when this process ends. ' +
        'Open it with a folder, or use a Postgres server.',
    ]);
    expect(await said(await openPGlite())).toEqual([]);
  });
});
