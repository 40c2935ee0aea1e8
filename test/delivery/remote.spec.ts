/** What several applications promise each other that share a store: one stores for callbacks that only the other has. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, defineEvent, EventDeliveries, EventsInspector, type EventsOptions } from 'nestjs-callbacks';
import type { EngineFactory } from 'nestjs-callbacks/engine';
import { postgres } from 'nestjs-callbacks/postgres';
import { redis } from 'nestjs-callbacks/redis';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { z } from 'zod';
import { sceneOn as postgresScene } from '../postgres/scene.js';
import { sceneOn as redisScene } from '../redis/scene.js';
import { closeApps, Log, startApp, until } from '../support/app.js';
import { describeWith, findPostgres, findRedis } from '../support/servers.js';

let ran: unknown[][];
beforeEach(() => {
  ran = [];
});
afterEach(closeApps);

class Joined {
  constructor(readonly name: string) {}
}
const defined = defineEvent('defined', z.string().min(1));

@Injectable()
class Emails {
  @Callback('user_joined', { delivery: 'durable' }) greet(name: string) {
    ran.push(['greet', name]);
  }
  @Callback(Joined, { delivery: 'durable' }) welcome(joined: Joined) {
    ran.push(['welcome', joined instanceof Joined, joined.name]);
  }
  @Callback(defined, { delivery: 'durable', retry: { attempts: 1 } }) define(name: string) {
    ran.push(['define', name]);
    throw new Error('always');
  }
}

@Injectable()
class Ordered {
  @Callback('user_joined', { delivery: 'durable', ordered: true }) note(name: string) {
    ran.push(['note', name]);
  }
}

const REMOTE: EventsOptions['remote'] = [
  { event: 'user_joined', callback: 'Emails.greet' },
  { event: Joined, callback: 'Emails.welcome' },
  { event: defined, callback: 'Emails.define' },
];

/** Two applications on one store: the API has no callback of its own, and the worker has them all. */
function onOneStore(engine: () => EngineFactory, takesOrder: boolean) {
  it.each(['the worker', 'the API'])(
    'C33: what the API stores is performed by the worker, if %s starts first',
    async (first) => {
      const startApi = () => startApp([], { engine: engine(), remote: REMOTE });
      const early = first === 'the API' ? await startApi() : undefined;
      const worker = await startApp([Emails], { engine: engine() });
      const api = early ?? (await startApi());
      await api.events.run('user_joined', 'Ada');
      await api.events.run(new Joined('Bea'));
      await api.events.run(defined, 'Cy');
      await expect(api.events.run(defined, '')).rejects.toMatchObject({ code: 'EVENTS_ARGUMENTS_INVALID' });
      await until(() => ran.length === 3);
      expect(ran.toSorted()).toEqual([
        ['define', 'Cy'],
        ['greet', 'Ada'],
        ['welcome', true, 'Bea'],
      ]);
      // What it looks after is the same as in the worker.
      const deliveries = api.app.get(EventDeliveries);
      await until(async () => (await deliveries.counts()).find(({ event }) => event === 'defined')!.dead === 1);
      expect((await deliveries.list({ callback: 'Emails.define' })).found).toMatchObject([
        { event: 'defined', arguments: ['Cy'] },
      ]);
      expect((await deliveries.counts()).map(({ isKnown }) => isKnown)).toEqual([true, true, true]);
      expect(api.log.of('warn').filter((line) => line.includes('remote')).length).toBe(first === 'the API' ? 3 : 0);
      expect(worker.log.of('warn').filter((line) => line.includes('do not know'))).toEqual([]);
    },
  );

  it('C33: an id that nobody has is told of at boot, with the one that may have been meant', async () => {
    await startApp([Emails], { engine: engine() });
    const remote = [{ event: 'user_joined', callback: 'Emails.great' }];
    const { events } = await startApp([], { engine: engine(), remote });
    await events.run('user_joined', 'Ada');
    // As often as it starts: that it has named the callback before, and stored for it, makes nobody perform it.
    const log = new Log();
    await startApp([], { engine: engine(), remote }, log);
    expect(log.of('warn').filter((line) => line.includes('remote'))).toEqual([
      'No application has told this store yet that it has Emails.great for "user_joined", which remote names. Did you mean "Emails.greet"?',
    ]);
  });

  it('C33: an event that only another application answers is warned of in production too, once', async () => {
    await startApp([Emails], { engine: engine() });
    const { NODE_ENV } = process.env;
    process.env.NODE_ENV = 'production';
    try {
      const { events, log } = await startApp([], { engine: engine() });
      await events.run('user_joined', 'Ada');
      await events.run('user_joined', 'Ada');
      await events.run('nobody_at_all');
      const warnings = () => log.of('warn').filter((line) => line.includes('remote'));
      await until(() => warnings().length > 0);
      await events.run('user_joined', 'Ada');
      expect(warnings()).toEqual([
        `"user_joined" was run, and nothing was stored for Emails.greet, which other applications on the same store have. ` +
          `If that is to perform it, name it: EventsModule.forRoot({ remote: [{ event: 'user_joined', callback: 'Emails.greet' }] }).`,
      ]);
    } finally {
      process.env.NODE_ENV = NODE_ENV;
    }
  });

  if (!takesOrder) return;

  it('C33: whether it is ordered is compared with what its application has said', async () => {
    const named = { event: 'user_joined', callback: 'Ordered.note' };
    // Whoever is there first can say what he likes.
    await startApp([], { engine: engine(), remote: [named] });
    await startApp([Ordered], { engine: engine() });
    await expect(startApp([], { engine: engine(), remote: [named] })).rejects.toMatchObject({
      code: 'EVENTS_OPTION_INVALID',
      message:
        "EventsModule was configured with remote: { event: 'user_joined', callback: 'Ordered.note', ordered: false }, and its application has it ordered. Pass ordered: true.",
    });
    const { events } = await startApp([], { engine: engine(), remote: [{ ...named, ordered: true }] });
    await expect(events.run('user_joined', 'Ada')).rejects.toMatchObject({ code: 'EVENTS_KEY_MISSING' });
    for (const name of ['Ada', 'Bea', 'Cy']) await events.with({ key: 'k' }).run('user_joined', name);
    await until(() => ran.length === 3);
    expect(ran).toEqual([
      ['note', 'Ada'],
      ['note', 'Bea'],
      ['note', 'Cy'],
    ]);
  });
}

describe('In memory', () => {
  let store: MemoryStore;
  beforeEach(() => {
    store = new MemoryStore();
  });
  onOneStore(() => memoryEngine({ store }), true);

  it('C33: runs its own callbacks of the event, too, and says which are remote', async () => {
    @Injectable()
    class Audit {
      @Callback('user_joined') note(name: string) {
        ran.push(['audit', name]);
      }
    }
    const { app, events, log } = await startApp([Audit], { engine: memoryEngine({ store }), remote: REMOTE });
    expect(await events.runSettled('user_joined', 'Ada')).toMatchObject([
      { callback: 'Audit.note', status: 'fulfilled' },
      { callback: 'Emails.greet', status: 'stored' },
    ]);
    expect(log.of('debug')[0]).toBe('"user_joined": 1. Audit.note, 2. Emails.greet (remote)\nEventsModule');
    const remote = app.get(EventsInspector).callbacks.filter(({ isRemote }) => isRemote);
    expect(remote.map(({ callback }) => callback)).toEqual(['Emails.greet', 'Emails.welcome', 'Emails.define']);
  });

  it.each<[any, string]>([
    ['user_joined', "remote: 'user_joined'. Pass an array of { event, callback, ordered }."],
    [['user_joined'], "remote[0]: 'user_joined'. Pass { event, callback, ordered }."],
    [[{ event: 'x' }], `remote[0].callback: undefined. Pass the callback's id, as in 'Emails.greetNewUser'.`],
    [[{ callback: 'A.a' }], 'remote[0].event: undefined. Pass a name, a class, or what defineEvent() returned.'],
    [
      [{ event: 'x', callbak: 'A.a' }],
      `remote[0].callbak: 'A.a', which is not an option of it. Did you mean "callback"?`,
    ],
    [
      [{ event: 'x', callback: 'A.a', isOrdered: true }],
      'remote[0].isOrdered: true, which is not an option of it. Did you mean "ordered"?',
    ],
    [
      [{ event: 'user_joined', callback: 'Emails.greet' }],
      "remote: 'Emails.greet'. This application has it itself: remove it from remote.",
    ],
  ])('%#. refuses what is no callback of another application', async (remote, message) => {
    const starting = startApp([Emails], { engine: memoryEngine({ store }), remote });
    await expect(starting).rejects.toMatchObject({
      code: 'EVENTS_OPTION_INVALID',
      message: expect.stringContaining(`EventsModule was configured with ${message}`),
    });
  });

  it('C33: needs an engine', async () => {
    await expect(startApp([], { remote: REMOTE })).rejects.toMatchObject({ code: 'EVENTS_ENGINE_MISSING' });
  });
});

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (url) => {
  const scene = postgresScene(url);
  onOneStore(() => postgres(scene.placeByUrl), true);

  it('C33: an instance of an older version, which does not say that it has its callbacks, is seen at work', async () => {
    const engine = () => postgres(scene.placeByUrl);
    await startApp([Emails], { engine: engine() });
    const isAtWork = `select from ${scene.schema}.events_instance where queues::text like '%Emails.greet%'`;
    await until(async () => (await scene.pool.query(isAtWork)).rowCount === 1);
    await scene.pool.query(`insert into ${scene.schema}.events_remote values ('user_joined/Emails.greet')`);
    const log = new Log();
    await startApp([], { engine: engine(), remote: [REMOTE![0]] }, log);
    expect(log.of('warn').filter((line) => line.includes('remote'))).toEqual([]);
    // The next one of this version says it for good.
    await startApp([Emails], { engine: engine() });
    expect((await scene.pool.query(`select from ${scene.schema}.events_remote`)).rowCount).toBe(0);
  });
});

describeWith('On a Redis server (REDIS_URL, or the local one)', await findRedis(), (url) => {
  const scene = redisScene(url);
  onOneStore(() => redis(scene.place), false);
});
