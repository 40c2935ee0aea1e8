/** What `completeIn()` refuses: whatever would lose the delivery, or complete another one. */
import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, EventDeliveries, type EventsError } from 'nestjs-callbacks';
import pg from 'pg';
import { startApp, until } from '../support/app.js';
import { isIdle } from '../support/engine-suite.js';
import { inPgTransaction } from '../support/pg-transaction.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { temporaryDatabase } from '../transactions/temporary-database.js';
import { sceneOn } from './scene.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);

  /** Has a durable callback do something with its delivery, at each of its attempts. Returns what it threw. */
  async function performing(attempts: number, work: (completeIn: (tx: object) => Promise<void>) => Promise<void>) {
    const thrown: unknown[] = [];
    let [begun, ended, id] = [0, 0, ''];
    @Injectable()
    class Accounts {
      @Callback('x', { delivery: 'durable', retry: { attempts, delayMs: 0 } }) async open() {
        begun++;
        const { delivery } = currentEvent()!;
        ({ id } = delivery!);
        try {
          await work((tx) => delivery!.completeIn(tx as never));
        } catch (error) {
          thrown.push(error);
          throw error;
        } finally {
          ended++;
        }
      }
    }
    const { app, events } = await startApp([Accounts], scene.options());
    await events.run('x');
    const deliveries = app.get(EventDeliveries);
    // A delivery may be complete while its callback still runs.
    await until(async () => begun > 0 && (await isIdle(deliveries)) && ended === begun);
    const [counts] = await deliveries.counts();
    return { thrown: thrown as EventsError[], begun, id, dead: counts?.dead ?? 0 };
  }

  it('B2: a client without a transaction is refused, so that a failure after it is tried again', async () => {
    const { thrown, begun, id, dead } = await performing(3, async (completeIn) => {
      const client = await scene.pool.connect();
      try {
        await completeIn(client);
        throw new Error('after completing');
      } finally {
        client.release();
      }
    });
    expect([begun, dead]).toEqual([3, 1]);
    expect(thrown[0]).toMatchObject({
      name: 'EventsError',
      code: 'EVENTS_TRANSACTION_OVER',
      message:
        `Accounts.open cannot complete "x" (delivery ${id}) in a client: no transaction is open there. ` +
        'Send "begin" before, and call completeIn() before the commit.',
    });
  });

  it('B2: a transaction that has ended is refused', async () => {
    const { thrown, dead } = await performing(1, async (completeIn) => {
      let ended!: pg.PoolClient;
      await scene.inTransaction(async (client) => void (ended = client));
      await completeIn(ended);
    });
    expect(dead).toBe(1);
    expect(thrown).toMatchObject([{ code: 'EVENTS_TRANSACTION_OVER' }]);
  });

  it('B3: a transaction of another database is refused by name, and left as it was', async () => {
    const other = temporaryDatabase(connectionString, 'nestjs_callbacks_completing');
    await other.create();
    const pool = new pg.Pool({ connectionString: other.url });
    const { thrown, dead, id } = await performing(1, async (completeIn) => {
      let error: unknown;
      await inPgTransaction(pool, async (client) => {
        error = await completeIn(client).catch((refused: unknown) => refused);
        await client.query('create table kept ()');
      });
      throw error;
    });
    expect((await pool.query('select from kept')).rows).toEqual([]);
    await pool.end();
    await other.drop();
    expect(dead).toBe(1);
    expect(thrown).toMatchObject([
      {
        code: 'EVENTS_TRANSACTION_FOREIGN',
        message:
          `Accounts.open cannot complete "x" (delivery ${id}) in a client: the engine Postgres keeps its deliveries in another ` +
          'database. Complete it in a transaction of that one, or leave completeIn() out: it completes when the callback resolves.',
      },
    ]);
  });

  it('B3: is refused a second time, as completed already', async () => {
    const refused: unknown[] = [];
    const { begun, dead } = await performing(3, async (completeIn) => {
      await scene.inTransaction(async (client) => {
        await completeIn(client);
        await completeIn(client).catch((error: unknown) => refused.push(error));
      });
      await scene.inTransaction(completeIn).catch((error: unknown) => refused.push(error));
    });
    expect([begun, dead]).toEqual([1, 0]);
    // The first transaction has completed it: nothing waits for what the callback does after that.
    await until(() => refused.length === 2);
    expect(refused).toMatchObject(
      Array(2).fill({
        code: 'EVENTS_DELIVERY_COMPLETED',
        message: expect.stringMatching(
          /^Accounts\.open cannot complete "x" \(delivery .+\) in a client: it is completed already\. Call completeIn\(\) once/,
        ),
      }),
    );
  });

  it('B3: is refused when the claim is gone, and may be repeated after a roll-back', async () => {
    const rolledBack = new Error('rolled back');
    const { thrown, begun } = await performing(2, async (completeIn) => {
      const first = scene.inTransaction(async (client) => {
        await completeIn(client);
        throw rolledBack;
      });
      await expect(first).rejects.toBe(rolledBack);
      await scene.pool.query(
        `update ${scene.schema}.job set retry_count = retry_count + 1 where name like '%Accounts%'`,
      );
      await scene
        .inTransaction(completeIn)
        .finally(() =>
          scene.pool.query(`update ${scene.schema}.job set retry_count = retry_count - 1 where name like '%Accounts%'`),
        );
    });
    expect(begun).toBe(2);
    expect(thrown).toMatchObject(Array(2).fill({ code: 'EVENTS_DELIVERY_LOST' }));
  });
});
