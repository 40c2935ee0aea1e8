/** What the Postgres engine promises an application that has told node-postgres to read types in its own way. */
import { beforeAll, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, EventDeliveries, inTransaction } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { firstLines, startApp, until } from '../support/app.js';
import { isIdle } from '../support/engine-suite.js';
import { inPgTransaction } from '../support/pg-transaction.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { sceneOn } from './scene.js';

const { BOOL, INT2, INT4, INT8, FLOAT8, JSON: JSON_TYPE, JSONB, TEXT, UUID, TIMESTAMPTZ } = pg.types.builtins;

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);
  beforeAll(() => {
    for (const type of [INT2, INT4, INT8]) pg.types.setTypeParser(type, (text: string) => BigInt(text));
    for (const type of [BOOL, FLOAT8, JSON_TYPE, JSONB]) pg.types.setTypeParser(type, (text: string) => text);
    pg.types.setTypeParser(UUID, (text: string) => ({ uuid: text }));
    pg.types.setTypeParser(TIMESTAMPTZ, (text: string) => ({ time: text }));
    pg.types.setTypeParser(TEXT, (text: string) => text.toUpperCase());
  });

  it.each([
    ['connections of its own', () => scene.placeByUrl],
    ["the application's pool", () => scene.place],
  ])('C6: by %s, everything is read as it was stored', async (_, place) => {
    const ran: unknown[] = [];
    @Injectable()
    class Letters {
      @Callback('letter', { delivery: 'durable', ordered: true, retry: { attempts: 2, delayMs: 0 } })
      async send(what: unknown) {
        const { delivery } = currentEvent()!;
        ran.push([what, delivery!.attempt]);
        if (what === 'lost') throw new Error('always');
      }
      @Callback('letter', { delivery: 'durable' })
      async archive() {
        await inPgTransaction(scene.pool, (client) => currentEvent()!.delivery!.completeIn(client));
      }
    }
    const engine = postgres(place());
    const { app, events, log } = await startApp([Letters], { engine });
    const deliveries = app.get(EventDeliveries);
    await events.with({ key: 'a' }).run('letter', { n: 1n, at: new Date(0) });
    await inTransaction(
      (work) => inPgTransaction(scene.pool, work),
      () => events.with({ key: 'b' }).run('letter', 'in a transaction'),
    );
    const client = await scene.pool.connect();
    const outside = events.with({ key: 'b', tx: client }).run('letter', 'outside');
    await expect(outside).rejects.toMatchObject({ code: 'EVENTS_TRANSACTION_OVER' });
    client.release();
    await events.with({ key: 'c' }).run('letter', 'lost');
    await until(async () => (await isIdle(deliveries)) && ran.length === 4);
    expect(ran).toEqual(
      expect.arrayContaining([
        [{ n: 1n, at: new Date(0) }, 1],
        ['in a transaction', 1],
        ['lost', 1],
        ['lost', 2],
      ]),
    );
    const [dead] = (await deliveries.list()).found;
    expect(dead).toMatchObject({ callback: 'Letters.send', key: 'c', arguments: ['lost'], attempts: 2 });
    expect(dead.storedAt.getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect(await deliveries.retry({ callback: dead.callback, ids: [dead.id] })).toBe(1);
    await until(() => ran.length === 6);
    const others = firstLines(log.of('error')).filter(
      (line) => !/Letters\.send|has ended, or never was one/.test(line),
    );
    expect(others).toEqual([]);
  });
});
