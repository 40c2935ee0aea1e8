/** What instances on one server do together: who looks for what, and who does it when one dies. */
import { afterEach, expect, it, jest } from '@jest/globals';
import { type DurableEngine, Duty, type EngineAttempt } from 'nestjs-callbacks/engine';
import pg from 'pg';
import { deferred, until } from '../support/app.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { callbackOf, deliveryOf, sceneOn, textOf } from './scene.js';

/** What an instance is told that says that it lives. */
interface Answer {
  others: string | null;
  hasDuty: boolean;
  askInMs: number;
}

/** As PgBouncer does in transaction mode. */
class Deaf extends pg.Client {
  override emit(event: string, ...args: unknown[]): boolean {
    return event !== 'notification' && super.emit(event as 'end', ...(args as []));
  }
}

describeWith('Instances on a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (url) => {
  const scene = sceneOn(url);
  const pools: pg.Pool[] = [];
  const poolOf = (options: pg.PoolConfig = {}) => {
    const pool = new pg.Pool({ connectionString: url, max: 3, ...options });
    pools.push(pool);
    return pool;
  };
  afterEach(async () => {
    jest.restoreAllMocks();
    await scene.end();
    await Promise.all(pools.splice(0).map((pool) => pool.end()));
  });

  /** All statements that are sent from now on. */
  function watch() {
    const { mock } = jest.spyOn(pg.Client.prototype, 'query') as unknown as jest.Mock<
      (sql: unknown, params?: unknown[]) => unknown
    >;
    const sent = (part: string) => mock.calls.filter(([query, params]) => params && textOf(query).includes(part));
    /** The instances that have said that they live, once for each time. */
    const beats = () => sent('.events_beat_').map(([, params]) => String(params?.[0]));
    return {
      sent,
      beats,
      /** What they were told then. */
      answers: () =>
        Promise.all(
          mock.calls.flatMap(([query, params], index) =>
            !params || !textOf(query).includes('.events_beat_')
              ? []
              : (mock.results[index].value as Promise<pg.QueryResult<Answer>>).then(({ rows: [answer] }) => ({
                  id: params[0] as string,
                  ...answer,
                })),
          ),
        ),
      claims: () => sent('.events_claim_').length,
      /** So many instances have said so often that they live, since the last `clear`. */
      haveBeaten: (instances: number, times: number) => {
        const ids = beats();
        const enough = new Set(ids.filter((id) => ids.filter((other) => other === id).length >= times));
        return enough.size >= instances;
      },
      clear: () => void mock.calls.splice(0),
    };
  }
  const holder = async () => {
    const { rows } = await scene.pool.query(
      `select id from ${scene.schema}.events_instance where seen_on > now() - interval '2850 milliseconds' order by id`,
    );
    return (rows as { id: string }[])[0]?.id;
  };
  const completing = (performed: unknown[]) => async (attempt: EngineAttempt) => {
    performed.push(attempt.delivery.arguments[0]);
    await attempt.complete();
  };

  it('look twice at most, of sixteen, for one delivery, whichever has stored it', async () => {
    const callback = callbackOf();
    const performed: unknown[] = [];
    const watched = watch();
    // Each listens on one connection all the time.
    const shared = [poolOf({ max: 12 }), poolOf({ max: 12 })];
    const working: DurableEngine[] = [];
    for (let count = 0; count < 16; count++) {
      const engine = await scene.open([callback], { pool: shared[count % 2] });
      engine.work(callback, completing(performed));
      working.push(engine);
    }
    const other = await scene.open([callback]);
    const known = async () =>
      (await scene.pool.query(`select from ${scene.schema}.events_instance`)).rowCount === working.length;
    await until(known);
    watched.clear();
    // One to learn who is there, and one more, as the first may have been under way.
    await until(() => watched.haveBeaten(16, 2));

    const claims: number[] = [];
    const looking = await holder();
    const storing: ((id: number) => Promise<void>)[] = [
      (id) => working[0].store([deliveryOf({ arguments: [id] })]),
      (id) => working[9].store([deliveryOf({ arguments: [id] })]),
      (id) => other.store([deliveryOf({ arguments: [id] })]),
      (id) => scene.inTransaction((client) => working[3].store([deliveryOf({ arguments: [id] })], client)),
      (id) => scene.inTransaction((client) => other.store([deliveryOf({ arguments: [id] })], client)),
    ];
    for (const [id, store] of storing.entries()) {
      watched.clear();
      await store(id);
      await until(() => performed.length === id + 1);
      // Whoever looks without having been told has done so by then.
      await until(() => watched.beats().includes(looking));
      claims.push(watched.claims());
    }
    expect(performed).toEqual([0, 1, 2, 3, 4]);
    expect(claims.filter((count) => count === 0 || count > 2)).toEqual([]);
  });

  it('find what becomes due later, though the one that looked for it has died', async () => {
    const callback = callbackOf();
    const performed: unknown[] = [];
    const dying = poolOf();
    const first = await scene.open([callback], { pool: dying });
    first.work(callback, completing([]));
    await until(holder);
    const dead = await holder();
    const second = await scene.open([callback], { pool: poolOf() });
    second.work(callback, completing(performed));
    // Later than any instance remembers.
    await second.store([deliveryOf({ arguments: ['later'], delayMs: 3_200 })]);
    dying.connect = () => Promise.reject(new Error('cut off'));

    await until(() => performed.length === 1);
    expect(performed).toEqual(['later']);
    expect(await holder()).not.toBe(dead);
  });

  it('ask for the duty again when it may have been lost, if they are next in line, and rarely if not', async () => {
    const { answers } = watch();
    /** What the instances were last told, the one that is there for longest first: each once it has found two others. */
    const terms = async () => {
      const told = new Map<string, { hasDuty: boolean; askInMs: number }>();
      for (const { id, others, hasDuty, askInMs } of await answers()) {
        if (others?.split(',').length === 2) told.set(id, { hasDuty, askInMs });
      }
      return [...told].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, term]) => term);
    };
    for (let count = 0; count < 3; count++) {
      const engine = await scene.open([callbackOf()], { pool: poolOf() });
      engine.work(callbackOf(), completing([]));
    }
    await until(async () => (await terms()).length === 3);
    const [first, next, last] = await terms();
    expect([first, last]).toEqual([
      { hasDuty: true, askInMs: 2_400 },
      { hasDuty: false, askInMs: 4_000 },
    ]);
    expect(next.hasDuty).toBe(false);
    // The duty lasts for 2.85 s from when the first was seen.
    expect(next.askInMs).toBeGreaterThan(0);
    expect(next.askInMs).toBeLessThanOrEqual(2_870);
  });

  it('look when a claim runs out, rather than some time later', async () => {
    const [callback, other] = [callbackOf(), callbackOf({ callback: 'B.b' })];
    const { answers } = watch();
    const toldHolder = async () => (await answers()).filter(({ hasDuty }) => hasDuty);
    const first = await scene.open([callback, other], { pool: poolOf() });
    first.work(other, completing([]));
    await until(holder);
    const dying = poolOf();
    const second = await scene.open([callback], { pool: dying, leaseMs: 4_000 });
    second.work(callback, () => {
      dying.connect = () => Promise.reject(new Error('cut off'));
      return new Promise(() => {});
    });
    await until(async () => (await toldHolder()).some(({ others }) => others !== null));
    await first.store([deliveryOf()]);
    const isTakenBack = `select from ${scene.schema}.job where state = 'retry' and blocked`;
    await until(async () => (await scene.pool.query(isTakenBack)).rowCount === 1);

    const asked = (await toldHolder()).map(({ askInMs }) => askInMs);
    expect(asked.filter((askInMs) => askInMs < 2_400)).not.toEqual([]);
  });

  it('hand on at once what one is enough for, when they close', async () => {
    const callback = callbackOf();
    const watched = watch();
    const first = await scene.open([callback], { pool: poolOf() });
    first.work(callback, completing([]));
    await until(holder);
    const former = await holder();
    const second = await scene.open([callback], { pool: poolOf() });
    second.work(callback, completing([]));
    await until(() => watched.haveBeaten(2, 2));
    // Otherwise the second would ask in its own time.
    const hurry = jest.spyOn(Duty.prototype, 'hurry');
    await first.stopWorking();
    await until(() => hurry.mock.calls.length > 0);
    expect(await holder()).not.toBe(former);
  });

  it('that have closed heed no call, though their connection lingers', async () => {
    const mayEnd = deferred();
    class Lingering extends pg.Client {
      override async end() {
        await mayEnd.promise;
        await super.end();
      }
    }
    const heard: string[] = [];
    const pool = poolOf({ Client: Lingering });
    pool.on('connect', (client) => client.on('notification', ({ payload }) => heard.push(payload!)));
    const engine = await scene.open([callbackOf()], { pool });
    const watched = watch();
    engine.work(callbackOf(), completing([]));
    const channel = `${scene.schema}_deliveries`;
    await until(async () => {
      await scene.pool.query('select pg_notify($1, $2)', [channel, 'of another queue']);
      return heard.length > 0;
    });
    await engine.stop();
    watched.clear();
    // It would call another to what it does not work on itself.
    await scene.pool.query('select pg_notify($1, $2)', [channel, 'y/B.b']);
    await until(() => heard.includes('y/B.b'));
    expect(watched.sent('pg_notify').map(([, params]) => params)).toEqual([[channel, 'y/B.b']]);
    mayEnd.resolve();
  });

  it('that hear of nothing find what others have stored, and a backlog, also when one of them is busy', async () => {
    const callback = callbackOf({ concurrency: 2 });
    const performed: unknown[] = [];
    const [isThrough, blocked] = [deferred(), deferred()];
    const storing = await scene.open([callback]);
    const open = async () => scene.open([callback], { pool: poolOf({ Client: Deaf, max: 4 }) });
    // The one that has the duty has no room: it performs these as long as there is anything else.
    const busy = await open();
    let running = 0;
    busy.work(callback, async (attempt) => {
      if (++running === 2) blocked.resolve();
      await isThrough.promise;
      await attempt.complete();
    });
    await until(holder);
    await storing.store([deliveryOf(), deliveryOf()]);
    await blocked.promise;

    const backlog = Array.from({ length: 60 }, (_, index) => index);
    await storing.store(backlog.map((index) => deliveryOf({ arguments: [index] })));
    for (let count = 0; count < 2; count++) (await open()).work(callback, completing(performed));
    await until(() => performed.length === backlog.length);
    await storing.store([deliveryOf({ arguments: ['one more'] })]);
    await until(() => performed.length > backlog.length);
    isThrough.resolve();
    await until(async () => (await storing.counts()).every(({ waiting, running }) => waiting + running === 0));
    expect(new Set(performed)).toEqual(new Set([...backlog, 'one more']));
    expect(performed).toHaveLength(61);
  });
});
