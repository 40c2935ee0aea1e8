/** What travels with a run to each of its callbacks, and what tells which run has caused which. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import {
  Callback,
  type CallbackOptions,
  currentEvent,
  type EventHeaders,
  EventRunner,
  inTransaction,
} from 'nestjs-callbacks';
import { closeApps, startApp, until } from '../support/app.js';
import { engineWith, NOW, startDurable } from '../delivery/durable-app.js';

const UUID = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[\da-f]{4}-[\da-f]{12}$/;

let seen: Record<string, EventHeaders | undefined>[];
beforeEach(() => {
  seen = [];
});
afterEach(closeApps);

/** A provider with one callback of `x`, which notes the headers that it sees. */
function noting(options: CallbackOptions, name = String(options.delivery)): Type {
  @Injectable()
  class Noting {
    @Callback('x', { id: name, ...options }) note() {
      seen.push({ [name]: currentEvent()?.headers });
    }
  }
  return Noting;
}

const inline = noting({ delivery: 'inline' });
const background = noting({ delivery: 'background' });
const held = noting({ delivery: 'after-commit' });
const rolledBack = noting({ delivery: 'after-rollback' });
const durable = noting({ delivery: 'durable' });

/** A transaction of nobody's. */
const inSome = (work: () => Promise<void>) =>
  inTransaction((inside) => inside({ query: async () => ({ rows: [] }) }), work);
const all = (count: number) => until(() => seen.length === count);

describe('Headers that are passed to a run', () => {
  it('are seen by each of its callbacks, by names in lower case', async () => {
    const { events } = await startDurable([inline, background, held, durable]);

    await events.with({ headers: { Tenant: 'acme', 'X-Request-Id': 'ä 1' } }).run('x');
    await all(4);

    const expected = { tenant: 'acme', 'x-request-id': 'ä 1', 'correlation-id': expect.stringMatching(UUID) };
    expect(seen).toEqual(
      expect.arrayContaining(
        ['inline', 'background', 'after-commit', 'durable'].map((delivery) => ({ [delivery]: expected })),
      ),
    );
    // One chain.
    expect(new Set(seen.map((one) => Object.values(one)[0]!['correlation-id'])).size).toBe(1);
    expect(Object.isFrozen(Object.values(seen[0])[0])).toBe(true);
  });

  it('are seen by callbacks that wait for the end of a transaction, whichever', async () => {
    const { events } = await startApp([held, rolledBack]);
    const run = () => events.with({ headers: { tenant: 'acme' } }).run('x');

    await inSome(run);
    await inSome(async () => {
      await run();
      throw new Error('rolled back');
    }).catch(() => {});

    const headers = expect.objectContaining({ tenant: 'acme' });
    expect(seen).toEqual([{ 'after-commit': headers }, { 'after-rollback': headers }]);
  });

  it.each(['run', 'runSettled', 'runParallel'] as const)(
    'are seen by after-commit callbacks outside of any transaction, by %s(), though none were passed',
    async (run) => {
      const { events } = await startApp([held]);
      await events[run]('x');
      expect(seen).toEqual([{ 'after-commit': { 'correlation-id': expect.stringMatching(UUID) } }]);
    },
  );

  it('are stored with deliveries, dead ones too, and are the same at each attempt', async () => {
    @Injectable()
    class Failing {
      @Callback('x', { delivery: 'durable', retry: NOW }) fail() {
        seen.push({ headers: currentEvent()!.headers });
        throw new Error('no');
      }
    }
    const { events, deliveries, done } = await startDurable([Failing]);

    await events.with({ headers: { tenant: 'acme' } }).run('x');
    await done();

    const [dead] = (await deliveries.list()).found;
    expect(dead.headers).toEqual({ tenant: 'acme', 'correlation-id': dead.id });
    expect(seen).toEqual(Array(3).fill({ headers: dead.headers }));
  });

  it('stay when a runner is made of a runner, unless one has the same name', async () => {
    const { events } = await startApp([inline]);
    const acme = events.with({ headers: { tenant: 'acme', user: 'ada' } });

    await acme.with({ key: '1' }).run('x');
    await acme.with({ headers: undefined }).run('x');
    await acme.with({ headers: { User: 'bob' } }).run('x');

    const both = { inline: { tenant: 'acme', user: 'ada' } };
    expect(seen).toEqual([both, both, { inline: { tenant: 'acme', user: 'bob' } }]);
  });

  it('are an empty object of a delivery that was stored before there were any', async () => {
    const former = engineWith((sound) => ({
      store: (deliveries, tx) =>
        sound.store(
          deliveries.map((delivery) => ({ ...delivery, headers: undefined })),
          tx,
        ),
    }));
    const { events } = await startDurable([durable], { engine: former });
    await events.run('x');
    await all(1);
    expect(seen).toEqual([{ durable: {} }]);
  });

  it.each<[string, object, string]>([
    [
      'no object',
      { headers: 'tenant' },
      "headers: 'tenant'. Pass a plain object of strings, by name; of others, Object.fromEntries(headers).",
    ],
    [
      'a list',
      { headers: ['tenant'] },
      "headers: [ 'tenant' ]. Pass a plain object of strings, by name; of others, Object.fromEntries(headers).",
    ],
    [
      'a map',
      { headers: new Map([['tenant', 'acme']]) },
      'headers: Map {}. Pass a plain object of strings, by name; of others, Object.fromEntries(headers).',
    ],
    [
      'those of fetch',
      { headers: new Headers({ tenant: 'acme' }) },
      'headers: Headers {}. Pass a plain object of strings, by name; of others, Object.fromEntries(headers).',
    ],
    [
      'a name with a space',
      { headers: { 'the tenant': 'a' } },
      "a header named 'the tenant'. A name is made as in HTTP, of letters, digits and marks such as - _ and .: tenant, x-request-id.",
    ],
    [
      'no name',
      { headers: { '': 'a' } },
      "a header named ''. A name is made as in HTTP, of letters, digits and marks such as - _ and .: tenant, x-request-id.",
    ],
    [
      'one name twice',
      { headers: { a: '1', A: '2' } },
      'the header a twice. Case does not tell names apart: keep one.',
    ],
    ['a number', { headers: { tenant: 7 } }, 'the header tenant: 7. Pass a string, or leave the header out.'],
    [
      'nothing',
      { headers: { tenant: undefined } },
      'the header tenant: undefined. Pass a string, or leave the header out.',
    ],
    [
      'a line break',
      { headers: { tenant: 'a\nb' } },
      'the header tenant with a line break, or something else that is no character of a line. Pass text of one line, or encode it.',
    ],
    [
      'half a character',
      { headers: { tenant: '\ud800' } },
      'the header tenant with a line break, or something else that is no character of a line. Pass text of one line, or encode it.',
    ],
    [
      'more than 8 KiB',
      { headers: { a: 'ä'.repeat(4_096) } },
      'headers of 8193 bytes, more than 8192. Headers are for ids and the like: pass the rest as an argument of the event.',
    ],
  ])('are refused with %s', async (_, context, message) => {
    const { events } = await startApp([inline]);
    expect(() => events.with(context)).toThrow(
      expect.objectContaining({ code: 'EVENTS_WITH_INVALID', message: `with() was given ${message}` }),
    );
  });

  it('are refused when those of both runners together are more than 8 KiB, and taken up to that', async () => {
    const { events } = await startApp([inline]);
    const half = events.with({ headers: { a: 'a'.repeat(4_095) } });
    expect(() => half.with({ headers: { b: 'b'.repeat(4_095) } })).not.toThrow();
    expect(() => half.with({ headers: { b: 'b'.repeat(4_096) } })).toThrow(/headers of 8193 bytes/);
  });
});

describe('The chain of runs that one has set off', () => {
  @Injectable()
  class Chain {
    constructor(private readonly events: EventRunner) {}
    @Callback('first' as 'x', { delivery: 'durable', retry: NOW, id: 'first' }) async first() {
      const { headers, delivery } = currentEvent()!;
      seen.push({ first: headers });
      if (delivery!.attempt === 1) throw new Error('try again');
      await this.events.run('second' as 'x');
    }
    // Not tracked by itself, and within the chain all the same.
    @Callback('second' as 'x') async second() {
      seen.push({ second: currentEvent()?.headers });
      await this.events.run('third' as 'x');
    }
    @Callback('third' as 'x', { delivery: 'background' }) async third() {
      seen.push({ third: currentEvent()?.headers });
      await this.events.run('fourth' as 'x');
    }
    @Callback('fourth' as 'x', { delivery: 'durable', id: 'fourth' }) fourth() {
      seen.push({ fourth: currentEvent()?.headers });
    }
  }

  it('begins at the first that stores or starts something, and goes on through attempts, inline and background callbacks', async () => {
    const { events } = await startDurable([Chain]);
    const id = '01920000-0000-4000-8000-00000000000A';

    await events.with({ id }).run('first' as 'x');
    await all(5);

    const correlation = { 'correlation-id': id.toLowerCase() };
    const caused = { ...correlation, 'causation-id': id.toLowerCase() };
    expect(seen).toEqual([
      { first: correlation },
      { first: correlation },
      { second: caused },
      { third: caused },
      { fourth: caused },
    ]);
  });

  it('keeps the id that is given, through a dead delivery that is retried by hand too, and says by which delivery a run was caused', async () => {
    let isDown = true;
    @Injectable()
    class Emails {
      constructor(private readonly events: EventRunner) {}
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) async send() {
        seen.push({ send: currentEvent()!.headers });
        if (isDown) throw new Error('down');
        const mine = { headers: { 'causation-id': 'made up', ...currentEvent()!.headers } };
        await this.events.with(mine).run('sent' as 'x');
      }
      @Callback('sent' as 'x', { delivery: 'durable' }) sent() {
        seen.push({ sent: currentEvent()!.headers });
      }
    }
    const { events, deliveries, done } = await startDurable([Emails]);
    await events.with({ headers: { 'Correlation-Id': 'from the gateway', 'causation-id': 'a message' } }).run('x');
    await done();
    isDown = false;
    const [dead] = (await deliveries.list()).found;
    await deliveries.retry({ callback: dead.callback, ids: [dead.id] });
    await all(3);

    const first = { 'correlation-id': 'from the gateway', 'causation-id': 'a message' };
    expect(seen).toEqual([
      { send: first },
      { send: first },
      { sent: { 'correlation-id': 'from the gateway', 'causation-id': dead.id } },
    ]);
  });

  it('begins anew for each run that belongs to none, and not at all where everything is inline', async () => {
    const { events } = await startDurable([background, inline]);
    await events.run('x');
    await events.run('x');
    await all(4);
    const chains = seen.flatMap(({ background: found }) => found?.['correlation-id'] ?? []);
    expect(new Set(chains).size).toBe(2);
    await closeApps();

    seen = [];
    const alone = await startApp([inline], { tracksCurrentEvent: true });
    await alone.events.run('x');
    expect(seen).toEqual([{ inline: {} }]);
  });
});
