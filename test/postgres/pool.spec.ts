/** What becomes of the application's own pool when it ends: by any hook, while the application lives, or before it starts. */
import { expect, it } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import { Callback, EventDeliveries, EventRunner } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { startApp, until } from '../support/app.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { sceneOn } from './scene.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);
  const ran: string[] = [];

  @Injectable()
  class Emails {
    @Callback('x', { delivery: 'durable' }) async greet(name: string) {
      ran.push(name);
    }
  }

  async function startOn(pool: pg.Pool, others: Type[] = []) {
    ran.length = 0;
    const options = { engine: postgres({ pool, schema: scene.schema }) };
    const started = await startApp({ providers: [...others, Emails] }, options);
    await started.events.run('x', 'Ada');
    await until(() => ran.includes('Ada'));
    return started;
  }
  const poolOf = (max = 4) => new pg.Pool({ connectionString, max });

  it.each(['onModuleDestroy', 'beforeApplicationShutdown', 'onApplicationShutdown'] as const)(
    'B11: may end in %s(), and nothing is lost',
    async (hook) => {
      const pool = poolOf();
      const told: unknown[] = [];
      @Injectable()
      class Database {
        constructor(private readonly events: EventRunner) {}
        async [hook]() {
          told.push(await this.events.run('x', 'before').catch(({ code }) => code));
          await pool.end();
          told.push(await this.events.run('x', 'late').catch(({ code }) => code));
        }
      }
      const { app } = await startOn(pool, [Database]);
      await app.close();
      const [before, late] =
        hook === 'onApplicationShutdown' ? ['EVENTS_CLOSED', 'EVENTS_CLOSED'] : [undefined, 'EVENTS_STORE_FAILED'];
      expect(told).toEqual([before, late]);
      expect(pool.totalCount).toBe(0);

      const { app: next } = await startOn(scene.pool);
      await until(() => ran.includes('before') || before !== undefined);
      expect(ran).not.toContain('late');
      await next.close();
    },
  );

  it('B11: may end while the application lives, which goes on, says what is wrong, and closes', async () => {
    const pool = poolOf();
    const { app, events, log } = await startOn(pool);
    await pool.end();
    await expect(events.run('x', 'Grace')).rejects.toMatchObject({
      code: 'EVENTS_STORE_FAILED',
      message: expect.stringContaining('no connection: Cannot use a pool after calling end on the pool'),
    });
    await expect(app.get(EventDeliveries).counts()).rejects.toThrow('Cannot use a pool after calling end on the pool');
    await until(() => log.of('error').some((line) => line.includes('Cannot use a pool')));
    await app.close();
    await expect(pool.end()).rejects.toThrow('Called end on pool more than once');
    expect(log.of('error').filter((line) => line.includes('did not stop'))).toEqual([]);
  });

  it('B11: that has ended before the start fails that, by name', async () => {
    const pool = poolOf();
    await pool.end();
    await expect(startOn(pool)).rejects.toMatchObject({ code: 'EVENTS_ENGINE_FAILED' });
  });
});
