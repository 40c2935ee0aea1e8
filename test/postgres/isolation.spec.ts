/** What the Postgres engine promises in a database whose transactions are serializable. */
import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, EventDeliveries } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { startApp, until } from '../support/app.js';
import { isIdle } from '../support/engine-suite.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { sceneOn } from './scene.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);

  it('B9, G3: statements that could not be put in order with others are repeated in the time of the run', async () => {
    const ran: number[] = [];
    @Injectable()
    class Orders {
      @Callback('placed', { delivery: 'durable', ordered: true }) async note(position: number) {
        ran.push(position);
      }
    }
    const url = new URL(connectionString);
    url.searchParams.set('options', `${url.searchParams.get('options')} -c default_transaction_isolation=serializable`);
    const { app, events, log } = await startApp([Orders], {
      engine: postgres({ connectionString: String(url), schema: scene.schema }),
    });
    const positions = Array.from({ length: 200 }, (_, position) => position);
    const runs = positions.map((position) => events.with({ key: String(position % 3) }).run('placed', position));
    const failed = (await Promise.allSettled(runs)).filter(({ status }) => status === 'rejected');
    expect(failed).toEqual([]);
    await until(() => isIdle(app.get(EventDeliveries)));
    expect(ran.toSorted((a, b) => a - b)).toEqual(positions);
    expect([...log.of('warn'), ...log.of('error')]).toEqual([]);
  });
});
