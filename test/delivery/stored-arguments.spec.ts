/** What durable callbacks get is equal to what was passed, or it is refused; and what is stored can be read. */
import { createReadStream } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type INestApplication, Injectable } from '@nestjs/common';
import { Callback, EventRunner } from 'nestjs-callbacks';
import type {
  DurableCallback,
  DurableEngine,
  EngineAttempt,
  Json,
  NewDelivery,
  StoredError,
} from 'nestjs-callbacks/engine';
import { closeApps, startApp } from '../support/app.js';

/** An engine that notes what it is given to store, and performs what it is told to. */
class NotingEngine implements DurableEngine {
  readonly name = 'Noting';
  readonly hasDuty = false;
  readonly capabilities = { transactions: false, order: false };
  readonly stored: NewDelivery[] = [];
  private readonly performers = new Map<string, (attempt: EngineAttempt) => Promise<void>>();

  async store(deliveries: readonly NewDelivery[]) {
    this.stored.push(...deliveries);
  }

  work({ event }: DurableCallback, perform: (attempt: EngineAttempt) => Promise<void>) {
    this.performers.set(event, perform);
  }

  /** Resolves to what the delivery is dead of, if it is. */
  async performs(delivery: NewDelivery): Promise<StoredError | undefined> {
    let deadOf: StoredError | undefined;
    await this.performers.get(delivery.event)!({
      delivery,
      attempt: 1,
      charged: 1,
      signal: new AbortController().signal,
      complete: async () => true,
      retryIn: async (_ms, error) => Promise.reject(new Error(`It is to be tried again: ${error.message}`)),
      release: async () => Promise.reject(new Error('It is given back.')),
      completeIn: async () => {},
      bury: async (error) => {
        deadOf = error;
        return true;
      },
    });
    return deadOf;
  }

  async start() {}
  async declare() {}
  async stopWorking() {}
  async stop() {}
  async addresses() {
    return [];
  }
  counts = async () => [];
  list = async () => ({ found: [], scanned: 0 });
  retry = async () => ({ count: 0 });
  discard = async () => ({ count: 0 });
}

let made = 0;
class UserJoined {
  readonly at = new Date(0);
  constructor(readonly name: string) {
    made++;
  }
  get greeting() {
    return `Hello, ${this.name}`;
  }
}

class Money {
  constructor(readonly cents: number) {}
}
class Paid {
  constructor(readonly price: Money) {}
}

@Injectable()
class Answers {
  arrived: unknown[] = [];

  @Callback('x', { delivery: 'durable' })
  @Callback('order_placed', { delivery: 'durable' })
  @Callback(UserJoined, { delivery: 'durable' })
  @Callback(Paid, { delivery: 'durable' })
  answer(...args: unknown[]) {
    this.arrived = args;
  }
}

let app: INestApplication;
let events: EventRunner;
const engine = new NotingEngine();
beforeAll(async () => {
  ({ app, events } = await startApp([Answers], { engine: () => engine }));
});
afterAll(closeApps);

/** What lies in the store, as text, when this has been run. */
async function stored(run: Promise<void>): Promise<string> {
  await run;
  return JSON.stringify(engine.stored.at(-1)!.arguments);
}

/** What arrives of what was stored last, read from its text. */
async function arrived(text: string): Promise<unknown[]> {
  const deadOf = await engine.performs({ ...engine.stored.at(-1)!, arguments: JSON.parse(text) as Json[] });
  expect(deadOf).toBeUndefined();
  return app.get(Answers).arrived;
}

const withPrototypeName = JSON.parse('{ "__proto__": 1, "constructor": 2 }') as object;

describe('An argument of a durable event arrives as it was passed:', () => {
  it.each<[string, unknown]>([
    ['text', 'Ada'],
    ['text that a database would refuse', 'a\0b \\u0000 \ud800 \\'],
    ['any character', '😀 é \u2028 "quoted" $type'],
    ['a number', 1.5],
    ['numbers that JSON does not have', [NaN, Infinity, -Infinity, -0, 5e-324, 2 ** 53]],
    ['a bigint', 2n ** 80n],
    ['true, false and null', [true, false, null]],
    ['undefined', undefined],
    ['undefined in an object and in an array', { a: undefined, b: [undefined, 1] }],
    ['a date', new Date('2026-11-24T10:00:00.123Z')],
    [
      'a map',
      new Map<unknown, unknown>([
        ['a', 1],
        [{ key: new Date(0) }, new Map()],
      ]),
    ],
    ['a set', new Set(['a', 1n, new Set([undefined])])],
    ['a regular expression', /a\/"\0/giu],
    ['a URL', new URL('https://example.org/a?b=c#d')],
    ['a buffer', Buffer.from([0, 1, 255])],
    ['typed arrays', [new Uint8Array([1, 2]), new Float64Array([0.5, NaN]), new BigInt64Array([-1n])]],
    ['part of a buffer', Buffer.from('hello').subarray(1, 3)],
    ['an object without prototype', Object.assign(Object.create(null) as object, { a: 1 })],
    ['an object whose fields are named as ours', { $type: 'Date', value: '2026', nested: { $type: 5 } }],
    ['an object with names that a database would refuse', { 'a\0': 1, '': { b: 2 } }],
    ['an object with the name __proto__', withPrototypeName],
    [
      'an object that is there twice',
      (() => {
        const one = { a: 1 };
        return [one, one];
      })(),
    ],
    ['an array with holes, filled', [1, undefined, 3]],
  ])('%s', async (_, value) => {
    const text = await stored(events.run('x', value));
    expect(await arrived(text)).toStrictEqual([value]);
    expect(text).not.toMatch(/[^\\]\\u0000|[^\\]\\ud[89ab]/);
  });

  it('a date that is none', async () => {
    const [date] = (await arrived(await stored(events.run('x', new Date(NaN))))) as [Date];
    expect([date.constructor, date.getTime()]).toEqual([Date, NaN]);
  });

  it('values of another realm, as those of this one', async () => {
    const foreign = runInNewContext('({ at: new Date(0), list: [new Map([[1, 2]])] })') as object;
    expect(await arrived(await stored(events.run('x', foreign)))).toStrictEqual([
      { at: new Date(0), list: [new Map([[1, 2]])] },
    ]);
  });

  it('a class event, with its methods, and without its constructor being called', async () => {
    const text = await stored(events.run(new UserJoined('Ada')));
    expect(JSON.parse(text)).toEqual([{ at: { $type: 'Date', value: '1970-01-01T00:00:00.000Z' }, name: 'Ada' }]);

    const [event] = (await arrived(text)) as [UserJoined];

    expect(event).toBeInstanceOf(UserJoined);
    expect([event.greeting, event.at, made]).toEqual(['Hello, Ada', new Date(0), 1]);
  });
});

it('What is stored reads as what was passed', async () => {
  const order = { id: 7, at: new Date('2026-01-31'), lines: [{ name: 'tea', cents: 995n }], note: undefined };
  expect(await stored(events.run('order_placed', 'Ada', order))).toBe(
    '["Ada",{"id":7,"at":{"$type":"Date","value":"2026-01-31T00:00:00.000Z"},' +
      '"lines":[{"name":"tea","cents":{"$type":"BigInt","value":"995"}}],"note":{"$type":"undefined"}}]',
  );
});

describe('What would not arrive as it is is refused, with its place:', () => {
  class Later extends Date {}
  const own = {
    URL: class URL {
      readonly href = 'https://example.org';
    },
  };
  function argumentsOf(this: void): unknown {
    return arguments;
  }
  const cycle: { self?: object } = {};
  cycle.self = { cycle };
  let deep: object = {};
  for (let i = 0; i < 20_000; i++) deep = { deep };

  it.each<[string, unknown]>([
    ['argument 1 is a function', () => {}],
    ['argument 1 (.user["e-mail"][0]) is a symbol', { user: { 'e-mail': [Symbol('x')] } }],
    ['argument 1 ([Symbol(tag)]) is named by a symbol', { [Symbol('tag')]: 1 }],
    ['argument 1 (.self.cycle) is a cycle, which leads back to what holds it', cycle],
    ['argument 1 (.values()[0].values()[0]) is an instance of Money', new Map([['a', new Set([new Money(5)])]])],
    ['argument 1 (.keys()[0]) is an instance of Later', new Map([[new Later(), 1]])],
    ['argument 1 (.error) is an instance of TypeError', { error: new TypeError('x') }],
    ['argument 1 is an instance of Promise', Promise.resolve(1)],
    ['argument 1 is an instance of ReadStream', createReadStream('package.json').destroy()],
    ['argument 1 is an instance of an unnamed class', new (class {})()],
    ['argument 1 is nested more than 500 values deep', deep],
    ['argument 1 (.total) is a property that its Array would arrive without', Object.assign([1, 2], { total: 5 })],
    ['argument 1 (.index) is a property that its Array would arrive without', /a(?<n>b)/.exec('ab')],
    ['argument 1 (["2.5"]) is a property that its Array would arrive without', Object.assign([1, 2, 3], { 2.5: 5 })],
    ['argument 1 (.list[1]) is a hole', { list: Object.assign([0], { 2: 2 }) }],
    ['argument 1 ([2]) is a hole', Object.assign([0, 1], { length: 3 })],
    ['argument 1 ([Symbol(tag)]) is named by a symbol', Object.assign([1], { [Symbol('tag')]: 1 })],
    [
      'argument 1 (.zone) is a property that its Date would arrive without',
      Object.assign(new Date(0), { zone: 'UTC' }),
    ],
    ['argument 1 (.x) is a property that its Map would arrive without', Object.assign(new Map(), { x: 1 })],
    ['argument 1 (.lastIndex) is 3, and would arrive as 0', Object.assign(/a/g, { lastIndex: 3 })],
    ['argument 1 is an instance of Arguments', argumentsOf()],
    ['argument 1 is an instance of Math', Math],
    ['argument 1 is an instance of JSON', JSON],
    ['argument 1 is an instance of URL', new own.URL()],
  ])('%s', async (message, value) => {
    const before = engine.stored.length;
    await expect(events.run('x', value)).rejects.toMatchObject({
      code: 'EVENTS_ARGUMENTS_UNSTORABLE',
      message: `"x" cannot be stored for its durable callbacks: ${message}. No callback has run; pass plain data, or an id by which the callback finds the rest.`,
    });
    expect(engine.stored).toHaveLength(before);
  });

  it('of a class event, the field', async () => {
    await expect(events.run(new Paid(new Money(5)))).rejects.toThrow('its field .price is an instance of Money');
  });

  it('C25: what lies 501 values deep, and never 500', async () => {
    const nested = (levels: number) => {
      let value: unknown = 'core';
      for (let level = 0; level < levels; level++) value = new Map([['deep', value]]);
      return value;
    };
    // As often as it takes to be compiled.
    for (let times = 0; times < 100; times++) await events.run('x', nested(500));
    await expect(events.run('x', nested(501))).rejects.toMatchObject({ code: 'EVENTS_ARGUMENTS_UNSTORABLE' });
    await expect(events.run(new Paid(nested(500) as Money))).rejects.toThrow('it is nested more than 500 values deep');
  });
});

it('What nobody can read any more is said to be so', async () => {
  await events.run('x', 5);
  const deadOf = await engine.performs({ ...engine.stored.at(-1)!, arguments: [{ $type: 'Decimal', value: '5' }] });
  expect(deadOf).toMatchObject({
    code: 'EVENTS_DELIVERY_UNREADABLE',
    message:
      'The stored arguments of "x" could not be read: there is no type "Decimal". They were changed, or stored by a newer version of this package.',
  });
});
