/** What the Redis engine needs the right to do, and what it does without. */
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import type { Redis } from 'ioredis';
import { EventDeliveries } from 'nestjs-callbacks';
import { redis } from 'nestjs-callbacks/redis';
import { closeApps, Log, startApp, until } from '../support/app.js';
import { Emails, isIdle, ran } from '../support/engine-suite.js';
import { findRedisProgram, PrivateRedis } from '../support/private-redis.mjs';
import { describeWith } from '../support/servers.js';

describeWith('With a Redis server that allows less (redis-server)', findRedisProgram(), () => {
  let server: PrivateRedis;
  beforeAll(async () => {
    server = await PrivateRedis.start();
  });
  afterEach(closeApps);
  afterAll(() => server.remove());

  const CANNOT_CHECK =
    'This Redis user may not ask for INFO, so nobody has checked that maxmemory-policy is noeviction, that appendonly is yes, and that the version is 6.2 or newer. Allow +info, or see to it.';
  const CANNOT_CALL =
    'This Redis user may not use CLIENT ID and CLIENT UNBLOCK: a delivery to a callback that was busy may begin up to a second late. Allow +client|id and +client|unblock.';

  it.each([
    ['README', '~{README}* +@read +@write +@scripting +@connection +info', []],
    ['C9, G7', '~* +@all -@dangerous', [CANNOT_CHECK, CANNOT_CALL]],
    ['G7', '~* +@all -client', [CANNOT_CALL]],
    ['G7, its sibling', '~* +@all -client|unblock', [CANNOT_CALL]],
  ])('%s: a user with %s works, and is told what that costs', async (name, rules, warnings) => {
    const user = `user-${ran.length}-${Math.random().toString(36).slice(2)}`;
    await server.ask((client: Redis) => client.acl('SETUSER', user, 'on', '>secret', ...rules.split(' ')));
    const url = `redis://${user}:secret@127.0.0.1:${server.port}`;
    const log = new Log();
    const options = { engine: redis({ url, prefix: `{${name}}` }) };
    const { app, events } = await startApp([Emails], options, log);
    for (let index = 0; index < 20; index++) {
      await events.run('x', index);
      await until(() => ran.length === index + 1);
    }
    await events.with({ delayMs: 50 }).run('x', 'later');
    await until(() => isIdle(app.get(EventDeliveries)));
    await app.close();
    expect(log.of('warn')).toEqual(warnings);
    expect(log.of('error')).toEqual([]);
    expect(log.of('log').filter((line) => line.includes('works again'))).toEqual([]);
  });
});
