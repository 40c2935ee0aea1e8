/** What every engine promises an application, whatever it keeps deliveries in: `engineSuite()` says it of one of them. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, EventDeliveries, inTransaction } from 'nestjs-callbacks';
import type { EngineFactory } from 'nestjs-callbacks/engine';
import { closeApps, deferred, firstLines, startApp, until } from './app.js';
import { controlsDeliveries } from './controlled.js';
import { killWhilePerforming } from './killed-instance.js';

/** What the callbacks of a test have noted. */
export const ran: unknown[] = [];
beforeEach(() => {
  ran.length = 0;
});
afterEach(closeApps);

@Injectable()
export class Emails {
  @Callback('x', { delivery: 'durable', retry: { attempts: 2, delayMs: 0 } }) async greet(what: unknown) {
    ran.push(what);
    if (what === 'fails') throw new TypeError('always');
  }
}

@Injectable()
export class Ordered {
  @Callback('ordered', { delivery: 'durable', ordered: true, retry: { attempts: 1 } }) async greet(what: unknown) {
    ran.push(what);
    if (what === 'fails') throw new TypeError('always');
  }
}

/** Whether nothing waits and nothing runs. */
export const isIdle = async (deliveries: EventDeliveries) =>
  (await deliveries.counts()).every(({ waiting, delayed, running }) => waiting + delayed + running === 0);

/** Does something again until it succeeds, as one must with a server that comes back. */
export const again = (work: () => Promise<unknown>) =>
  until(() =>
    work().then(
      () => true,
      () => false,
    ),
  );

/** An engine, and what a spec knows of it. Each part that is given adds the tests that need it. */
export interface EngineUnderTest<Options extends object> {
  /** As messages name it. */
  readonly name: string;
  readonly engineOf: (options: Options) => EngineFactory;
  /** What it cannot do, and says so. */
  readonly lacks?: { readonly order?: true; readonly transactions?: { readonly of: string } };
  /** Options that it does not take, each with the reason that it gives. */
  readonly refused?: readonly (readonly [options: any, message: string])[];
  /** Options that name a server that is not there, and what it says of that. */
  readonly absent?: { readonly options: Options; readonly message: RegExp };
  /** Options that name a store of this test's own. */
  readonly place?: () => Options;
  /** Connections of the application's own, which it takes and leaves as they were. */
  readonly own?: readonly OwnConnection<Options>[];
  /** How to learn how often instances have looked, of their own accord, for what nobody has told them of. */
  readonly looks?: Looks;
  /** How another process makes it, for the same store as `place()`, with a lease of a second. */
  readonly elsewhere?: { readonly source: string; readonly env: () => NodeJS.ProcessEnv };
  /** A server that may be taken away, and options that name a store on it. */
  readonly server?: { readonly get: () => Server; readonly place: (name: string) => Options };
}

export interface OwnConnection<Options> {
  readonly what: string;
  open(): Promise<{ readonly options: Options; isAsBefore(): Promise<boolean>; close(): Promise<unknown> }>;
}

export interface Looks {
  /** Starts counting, as often as each instance looks, or more often. Returns how to read the count. */
  count(): Promise<() => number>;
  /** Whether there may be several instances at once. */
  readonly isShared: boolean;
}

/** What can be done to a server. */
export interface Server {
  start(): Promise<void>;
  stop(): Promise<unknown>;
  restart(): Promise<void>;
  /** Nothing answers any more, while all connections stay. */
  freeze(): void;
  thaw(): void;
}

/** Registers the tests that all engines share, as far as there is what they need. */
export function engineSuite<Options extends object>(engine: EngineUnderTest<Options>): void {
  const { place, lacks, own, looks, elsewhere, server } = engine;
  startsOnlyAsItShould(engine);
  if (place) {
    keepsDeliveries(engine, place);
    controlsDeliveries(engine, place);
    if (lacks) saysWhatItLacks(engine, place);
    if (looks) beginsAtOnce(engine, place, looks);
    if (elsewhere) outlivesInstances(engine, place, elsewhere);
  }
  if (own) leavesConnections(engine, own);
  if (server) outlivesItsServer(engine, server);
}

function startsOnlyAsItShould<Options extends object>({ engineOf, name, ...engine }: EngineUnderTest<Options>) {
  const { refused, absent } = engine;
  if (refused) {
    it.each<readonly [any, string]>(refused)('refuses %p at boot', async (options, message) => {
      await expect(startApp([Emails], { engine: engineOf(options) })).rejects.toMatchObject({
        code: 'EVENTS_OPTION_INVALID',
        message: `EventsModule was configured with a wrong engine: ${message}`,
      });
    });
  }
  if (absent) {
    it('says at boot that the server is not there', async () => {
      await expect(startApp([Emails], { engine: engineOf(absent.options) })).rejects.toMatchObject({
        code: 'EVENTS_ENGINE_FAILED',
        message: expect.stringMatching(new RegExp(`^The engine ${name} could not start: ${absent.message.source}`)),
      });
    });
  }
}

function keepsDeliveries<Options extends object>({ engineOf }: EngineUnderTest<Options>, place: () => Options) {
  it('what one application has stored is performed by the next', async () => {
    const before = await startApp([Emails], { engine: engineOf(place()), work: false });
    await before.events.run('x', 'Ada');
    await before.app.close();
    await startApp([Emails], { engine: engineOf(place()) });
    await until(() => ran.length === 1);
    expect(ran).toEqual(['Ada']);
  });

  it('names of events and callbacks may be any text', async () => {
    @Injectable()
    class Odd {
      @Callback('bestellt: "€/5" --', { delivery: 'durable', id: "Überweisung.go 'now'" }) go(what: string) {
        ran.push(what);
      }
    }
    const { app, events } = await startApp([Odd], { engine: engineOf(place()) });
    await events.run('bestellt: "€/5" --', 'Ada');
    await until(() => ran.length === 1);
    await events.with({ delayMs: 60_000 }).run('bestellt: "€/5" --', 'Ada');
    expect(await app.get(EventDeliveries).counts()).toMatchObject([
      { event: 'bestellt: "€/5" --', callback: "Überweisung.go 'now'", delayed: 1, isKnown: true },
    ]);
  });

  it('what is nested as deep as may be stored arrives as it was', async () => {
    let nested: unknown = 'core';
    for (let level = 0; level < 500; level++) nested = new Map([['deep', nested]]);
    const { events } = await startApp([Emails], { engine: engineOf(place()) });
    await events.run('x', nested);
    await until(() => ran.length === 1);
    let arrived = ran[0];
    for (let level = 0; level < 500; level++) arrived = (arrived as Map<string, unknown>).get('deep');
    expect(arrived).toBe('core');
  });

  it('lists when deliveries were stored, are due, or run', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable', retry: { attempts: 2, delayMs: 60_000 } }) async go(what: string) {
        if (what === 'waits') await gate.promise;
        throw new Error('no');
      }
    }
    const { app, events } = await startApp([Slow], { engine: engineOf(place()) });
    const deliveries = app.get(EventDeliveries);
    const from = Date.now();
    await events.run('slow', 'waits');
    await events.run('slow', 'retried');
    // Both have begun, and one has failed.
    await until(
      async () => (await deliveries.counts())[0].delayed === 1 && (await deliveries.counts())[0].running === 1,
    );
    const [retried] = (await deliveries.list({ state: 'waiting' })).found;
    const [running] = (await deliveries.list({ state: 'running' })).found;
    gate.resolve();
    const near = (date: Date, ms: number) => Math.abs(date.getTime() - ms) < 20_000;
    expect(retried.attempts).toBe(1);
    expect(retried.error).toMatchObject({ name: 'Error', message: 'no' });
    expect(near(retried.since, from + 67_000)).toBe(true);
    expect([near(running.since, from), near(running.storedAt, from)]).toEqual([true, true]);
  });
}

function saysWhatItLacks<Options extends object>(engine: EngineUnderTest<Options>, place: () => Options) {
  const { engineOf, name, lacks } = engine;
  if (lacks?.order) {
    it('refuses at boot what it cannot do, by the name of who asks for it', async () => {
      await expect(startApp([Emails, Ordered], { engine: engineOf(place()) })).rejects.toMatchObject({
        code: 'EVENTS_ENGINE_UNSUITED',
        message: `Ordered.greet asks for ordered: true, which the engine ${name} cannot do. Remove the option, or choose another engine.`,
      });
    });
  }
  if (!lacks?.transactions) return;
  const { of } = lacks.transactions;

  it('stores what a transaction of a database runs when that has committed, and not when it was rolled back', async () => {
    const { app, events } = await startApp([Emails], { engine: engineOf(place()) });
    const open = (work: (tx: object) => Promise<void>) => work({});
    await inTransaction(open, () => events.run('x', 'committed'));
    const failing = inTransaction(open, async () => {
      await events.run('x', 'rolled back');
      throw new Error('veto');
    });
    await expect(failing).rejects.toThrow('veto');
    await until(() => isIdle(app.get(EventDeliveries)));
    expect(ran).toEqual(['committed']);
    await expect(events.with({ tx: { query: async () => ({ rows: [] }) } }).run('x')).rejects.toMatchObject({
      code: 'EVENTS_COMMIT_UNSEEN',
    });
  });

  it('cannot complete a delivery in a transaction, and says so', async () => {
    @Injectable()
    class Exact {
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) async go() {
        await currentEvent()!.delivery!.completeIn({ query: async () => ({ rows: [] }) });
      }
    }
    const { app, events } = await startApp([Exact], { engine: engineOf(place()) });
    await events.run('x');
    const deliveries = app.get(EventDeliveries);
    await until(async () => (await deliveries.list()).found.length === 1);
    expect((await deliveries.list()).found[0].error?.message).toContain(
      `the engine ${of} takes no transactions. Leave completeIn() out`,
    );
  });
}

function leavesConnections<Options extends object>(
  { engineOf }: EngineUnderTest<Options>,
  own: readonly OwnConnection<Options>[],
) {
  it.each(own.map(({ what, open }) => [what, open] as const))('takes %s, and leaves it as it was', async (_, open) => {
    const { options, isAsBefore, close } = await open();
    const { app, events } = await startApp([Emails], { engine: engineOf(options) });
    await events.run('x', 1);
    await until(() => ran.length === 1);
    await app.close();
    expect(await isAsBefore()).toBe(true);
    await expect(events.run('x', 2)).rejects.toMatchObject({ code: 'EVENTS_CLOSED' });
    await close();
  });
}

function beginsAtOnce<Options extends object>(
  { engineOf }: EngineUnderTest<Options>,
  place: () => Options,
  looks: Looks,
) {
  /** Nobody had to look for most: a look that came by chance while one was about to begin says nothing of that. */
  async function expectToBeginUnsought(
    begin: (number: number) => Promise<void>,
    end: (number: number) => Promise<void>,
  ) {
    const read = await looks.count();
    let [sought, unsought] = [0, 0];
    for (let number = 0; unsought < 16; number++) {
      const before = read();
      await begin(number);
      if (read() === before) unsought++;
      else sought++;
      expect(sought).toBeLessThanOrEqual(8);
      await end(number);
    }
  }

  if (looks.isShared) {
    it('a delivery begins elsewhere at once, also when the one that hears of it first has no room', async () => {
      const gate = deferred();
      @Injectable()
      class Slow {
        @Callback('slow', { delivery: 'durable', concurrency: 1 }) async go(what: string) {
          ran.push(what);
          if (what === 'first') await gate.promise;
        }
      }
      const one = await startApp([Slow], { engine: engineOf(place()) });
      await startApp([Slow], { engine: engineOf(place()) });
      await one.events.run('slow', 'first');
      await until(() => ran.length === 1);
      await expectToBeginUnsought(
        async (number) => {
          await one.events.run('slow', `${number}`);
          await until(() => ran.length === number + 2);
        },
        async () => {},
      ).finally(gate.resolve);
    });
  }

  it('a delivery begins at once, also when the only place was just left by one that failed', async () => {
    @Injectable()
    class Doomed {
      @Callback('doomed', { delivery: 'durable', concurrency: 1, retry: { attempts: 1 } }) go(number: number) {
        ran.push(number);
        throw new Error('no');
      }
    }
    const { app, events } = await startApp([Doomed], { engine: engineOf(place()) });
    await expectToBeginUnsought(
      async (number) => {
        await events.run('doomed', number);
        await until(() => ran.length === number + 1);
      },
      (number) => until(async () => (await app.get(EventDeliveries).counts())[0].dead === number + 1),
    );
  });
}

function outlivesInstances<Options extends object>(
  { engineOf }: EngineUnderTest<Options>,
  place: () => Options,
  { source, env }: NonNullable<EngineUnderTest<Options>['elsewhere']>,
) {
  it('what an instance was doing when it was killed is done by another, soon after the lease', async () => {
    await killWhilePerforming(source, env());
    @Injectable()
    class Same {
      @Callback('x', { delivery: 'durable', id: 'Emails.greet' }) greet(who: string) {
        ran.push(`${who}, attempt ${currentEvent()!.delivery!.attempt}`);
      }
    }
    await startApp([Same], { engine: engineOf({ ...place(), leaseMs: 1_000 }) });
    await until(() => ran.length === 1);
    expect(ran).toEqual(['Ada, attempt 2']);
  });
}

function outlivesItsServer<Options extends object>(
  { name, engineOf, lacks }: EngineUnderTest<Options>,
  { get, place }: NonNullable<EngineUnderTest<Options>['server']>,
) {
  it('a run fails at once while it is stopped, and work goes on when it is back, with all that was acknowledged', async () => {
    // Longer than a test may take: nothing here fails by waiting for it.
    const engine = engineOf({ ...place('stopped'), storeTimeoutMs: 600_000 });
    const { app, events, log } = await startApp(lacks?.order ? [Emails] : [Emails, Ordered], { engine });
    await events.run('x', 1);
    await until(() => ran.length === 1);
    await events.with({ delayMs: 500 }).run('x', 'acknowledged');
    await get().stop();

    // What is sent before the end of the connection is noticed might have arrived.
    const codeOf = () =>
      events.run('x', 'lost').then(
        () => 'stored',
        ({ code }: { code: string }) => code,
      );
    await until(async () => (await codeOf()) === 'EVENTS_STORE_FAILED');
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => events.run('x', 'lost')));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        reason: { code: 'EVENTS_STORE_FAILED', message: expect.stringContaining('no connection') },
      });
    }

    await until(() => log.of('error').some((line) => line.startsWith(`${name} does not work`)));
    await get().start();
    await again(() => events.run('x', 2));
    await until(() => ran.includes(2) && ran.includes('acknowledged'));
    await until(() => log.of('log').some((line) => line.startsWith(`${name} works again, after `)));
    expect(firstLines(log.of('error')).filter((line) => line.startsWith(`${name} does not work`))).toHaveLength(1);
    await until(() => isIdle(app.get(EventDeliveries)));
    expect(ran).not.toContain('lost');
  });

  it('a run to a frozen one fails within storeTimeoutMs, with the outcome unknown; the same id makes sure', async () => {
    await startApp([Emails], { engine: engineOf(place('frozen')) });
    // It does nothing else, so that a connection is free when the server freezes, and the run is sent.
    const storing = { engine: engineOf({ ...place('frozen'), storeTimeoutMs: 1_000 }), work: false };
    const { events } = await startApp([Emails], storing);
    await again(() => events.with({ id: '01a213b0-e5d0-7fe5-9c07-7ff43c702d42' }).run('x', 1));
    await until(() => ran.length === 1);
    let error: { code: string; id: string } | undefined;
    get().freeze();
    try {
      await events.run('x', 2).catch((reason: typeof error) => (error = reason));
      expect(error).toMatchObject({ code: 'EVENTS_STORE_UNKNOWN' });
    } finally {
      get().thaw();
    }
    await again(() => events.with({ id: error!.id }).run('x', 2));
    await until(() => ran.length === 2);
    expect(ran).toEqual([1, 2]);
  });

  it('an attempt that ends while it is away is completed when it is back, and does not run twice', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable' }) async go() {
        ran.push(currentEvent()!.delivery!.attempt);
        await gate.promise;
      }
    }
    const { app, events } = await startApp([Slow, Emails], { engine: engineOf(place('away')) });
    await events.run('slow');
    await until(() => ran.length === 1);
    await get().stop();
    gate.resolve();
    // By then the attempt has failed to say that it is done.
    for (let runs = 0; runs < 2; runs++) await expect(events.run('x', 'lost')).rejects.toThrow();
    await get().start();
    const deliveries = app.get(EventDeliveries);
    await until(() => isIdle(deliveries).catch(() => false));
    expect(ran).toEqual([1]);
    expect((await deliveries.counts()).filter(({ dead }) => dead > 0)).toEqual([]);
  });

  it('deliveries outlast a server that is killed, with those that were running', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('slow', { delivery: 'durable', concurrency: 1 }) async go(what: number) {
        await gate.promise;
        ran.push(what);
      }
    }
    const { app, events } = await startApp([Slow], { engine: engineOf({ ...place('killed'), leaseMs: 1_000 }) });
    for (let number = 0; number < 50; number++) await events.run('slow', number);
    await get().restart();
    gate.resolve();
    await until(() => new Set(ran).size === 50);
    await until(() => isIdle(app.get(EventDeliveries)).catch(() => false));
    expect(ran.length).toBeLessThan(53);
  });
}
