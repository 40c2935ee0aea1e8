/** What the health endpoint of `@nestjs/terminus` answers while the server of the engine is away, or frozen. */
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import type { EngineFactory } from 'nestjs-callbacks/engine';
import { postgres } from 'nestjs-callbacks/postgres';
import { redis } from 'nestjs-callbacks/redis';
import { closeApps, until } from '../support/app.js';
import { startWithEndpoint } from '../support/health-endpoint.js';
import { findServerPrograms, PrivatePostgres } from '../support/private-postgres.mjs';
import { findRedisProgram, PrivateRedis } from '../support/private-redis.mjs';
import { describeWith } from '../support/servers.js';

afterEach(closeApps);

@Injectable()
class Emails {
  @Callback('x', { delivery: 'durable' }) greet() {}
}

type Server = PrivatePostgres | PrivateRedis;

function tellsOfOutages(name: string, start: () => Promise<Server>, engineOn: (server: Server) => EngineFactory): void {
  let server: Server;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server.remove());

  it('answers 503 while it is stopped, with the reason and no address of it, and 200 when it is back', async () => {
    const { ask } = await startWithEndpoint([Emails], { engine: engineOn(server) });
    expect(await ask()).toMatchObject({ code: 200, body: { details: { events: { status: 'up', engine: name } } } });
    await server.stop();
    const reason = `The engine ${name} does not work: no connection`;
    await until(async () => (await ask()).body.error.events?.message?.startsWith(reason));
    const { code, body } = await ask();
    expect([code, body.status]).toEqual([503, 'error']);
    expect(body.error.events).toEqual({ status: 'down', engine: name, message: expect.stringContaining(reason) });
    expect(JSON.stringify(body)).not.toContain('://');
    await server.start();
    await until(async () => (await ask()).code === 200);
  });

  it('answers 503 while it is frozen, as soon as timeoutMs is over, and 200 when it goes on', async () => {
    const { ask } = await startWithEndpoint([Emails], { engine: engineOn(server) }, { timeoutMs: 300 });
    await until(async () => (await ask()).code === 200);
    server.freeze();
    try {
      const message = `The engine ${name} does not work: no answer within 300 ms.`;
      expect(await ask()).toMatchObject({ code: 503, body: { error: { events: { status: 'down', message } } } });
    } finally {
      server.thaw();
    }
    await until(async () => (await ask()).code === 200);
  });
}

describeWith('With a Postgres server that fails (pg_ctl and initdb)', findServerPrograms(), () => {
  tellsOfOutages(
    'Postgres',
    () => PrivatePostgres.start(),
    (server) => postgres({ connectionString: server.url }),
  );
});

describeWith('With a Redis server that fails (redis-server)', findRedisProgram(), () => {
  tellsOfOutages(
    'Redis',
    () => PrivateRedis.start(),
    (server) => redis({ url: server.url }),
  );
});
