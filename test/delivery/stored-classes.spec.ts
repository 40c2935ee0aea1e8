/** What a class event is made of arrives equal, or is refused when it is run: never a broken instance. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, EventRunner } from 'nestjs-callbacks';
import { closeApps } from '../support/app.js';
import { startDurable } from './durable-app.js';

class FailedEvent extends Error {}
class ListEvent extends Array<number> {}
class MapEvent extends Map<string, number> {}
class SetEvent extends Set<number> {}
class DateEvent extends Date {}
class PatternEvent extends RegExp {}
class BytesEvent extends Uint8Array {}
class RawEvent extends ArrayBuffer {}
class LaterEvent extends Promise<number> {}
class TextEvent extends String {}
class PlaceEvent extends URL {}
class DeepEvent extends FailedEvent {}
const SwappedEvent = class SwappedEvent {};
const swapped = Object.setPrototypeOf(new Map([['a', 1]]), SwappedEvent.prototype) as object;

class HiddenEvent {
  constructor(total: number) {
    Object.defineProperty(this, 'total', { value: total });
  }
}
class SymbolEvent {
  constructor() {
    Object.assign(this, { [Symbol('tag')]: 1 });
  }
}
class HiddenSymbolEvent {
  constructor() {
    Object.defineProperty(this, Symbol('tag'), { value: 1 });
  }
}
class PrivateEvent {
  readonly #name: string;
  constructor(name: string) {
    this.#name = name;
  }
  get name() {
    return this.#name;
  }
}
class PrivateMethodEvent {
  constructor(readonly name: string) {}
  #secretly() {
    return this.name;
  }
  greeting() {
    return this.#secretly();
  }
}
class BelowPrivateEvent extends PrivateEvent {}
/** As compilers write `accessor`, and `#private` for older engines. */
const storage = new WeakMap<object, string>();
const __classPrivateFieldGet = (of: object, from: typeof storage) => from.get(of);
class CompiledEvent {
  constructor(name: string) {
    storage.set(this, name);
  }
  get name() {
    return __classPrivateFieldGet(this, storage);
  }
}
class ThrowingEvent {
  constructor() {
    const get = () => {
      throw new Error('not yet');
    };
    Object.defineProperty(this, 'late', { enumerable: true, get });
  }
}

class Base {
  readonly at = new Date(0);
}
class WordyEvent extends Base {
  static readonly #count = 1;
  // Neither this #name nor that '#name' of "this.#name" is a private one; nor is `this.#name`.
  readonly colour = '#fff';
  readonly link = "this.#link = '";
  constructor(readonly name: string) {
    super();
  }
  get greeting() {
    return `Hello, ${this.name} ${WordyEvent.#count}`;
  }
}
class FrozenEvent {
  constructor(readonly name: string) {
    Object.freeze(this);
  }
}
class OwnGetterEvent {
  constructor(name: string) {
    Object.defineProperty(this, 'name', { enumerable: true, get: () => name });
  }
}
const every = {
  FailedEvent,
  ListEvent,
  MapEvent,
  SetEvent,
  DateEvent,
  PatternEvent,
  BytesEvent,
  RawEvent,
  LaterEvent,
  TextEvent,
  PlaceEvent,
  DeepEvent,
  SwappedEvent,
  HiddenEvent,
  SymbolEvent,
  HiddenSymbolEvent,
  PrivateEvent,
  PrivateMethodEvent,
  BelowPrivateEvent,
  CompiledEvent,
  ThrowingEvent,
  WordyEvent,
  FrozenEvent,
  OwnGetterEvent,
};

@Injectable()
class Answers {
  arrived: unknown[] = [];
  answer(event: unknown) {
    this.arrived.push(event);
  }
}
for (const event of [...Object.values(every), 'x']) {
  const descriptor = Object.getOwnPropertyDescriptor(Answers.prototype, 'answer')!;
  Callback(event as 'x', { delivery: 'durable' })(Answers.prototype, 'answer', descriptor as never);
}

let started: Awaited<ReturnType<typeof startDurable>>;
let events: EventRunner;
beforeAll(async () => {
  started = await startDurable([Answers]);
  ({ events } = started);
});
afterAll(closeApps);
const run = (event: object) => (events as { run(event: object): Promise<void> }).run(event);

describe('A class event that would arrive broken is refused:', () => {
  it.each<[string, object]>([
    ['it is an instance of Error, whose inner state would not arrive', new FailedEvent('no')],
    ['it is an instance of Error, whose inner state would not arrive', new DeepEvent('no')],
    ['it is an instance of Array, whose inner state would not arrive', ListEvent.from([1, 2])],
    ['it is an instance of Map, whose inner state would not arrive', new MapEvent([['a', 1]])],
    ['it is an instance of Map, whose inner state would not arrive', swapped],
    ['it is an instance of Set, whose inner state would not arrive', new SetEvent([1])],
    ['it is an instance of Date, whose inner state would not arrive', new DateEvent(0)],
    ['it is an instance of RegExp, whose inner state would not arrive', new PatternEvent('a')],
    ['it is an instance of Uint8Array, whose inner state would not arrive', new BytesEvent(2)],
    ['it is an instance of ArrayBuffer, whose inner state would not arrive', new RawEvent(2)],
    ['it is an instance of String, whose inner state would not arrive', new TextEvent('a')],
    ['its field .total is not enumerable, and would not arrive', new HiddenEvent(5)],
    ['its field [Symbol(tag)] is named by a symbol', new SymbolEvent()],
    ['its field [Symbol(tag)] is named by a symbol', new HiddenSymbolEvent()],
    ['its field .#name is private, and would not arrive', new PrivateEvent('Ada')],
    ['its field .#secretly is private, and would not arrive', new PrivateMethodEvent('Ada')],
    ['its field .#name is private, and would not arrive', new BelowPrivateEvent('Ada')],
    ['its field .name is private, and would not arrive', new CompiledEvent('Ada')],
    ['its field .late is not readable: not yet', new ThrowingEvent()],
  ])('A6: %s', async (message, event) => {
    await expect(run(event)).rejects.toMatchObject({
      code: 'EVENTS_ARGUMENTS_UNSTORABLE',
      message: expect.stringContaining(`cannot be stored for its durable callbacks: ${message}. No callback has run;`),
    });
  });

  it('A6: one that extends URL, of which Node keeps all in private', async () => {
    await expect(run(new PlaceEvent('https://example.org'))).rejects.toMatchObject({
      code: 'EVENTS_ARGUMENTS_UNSTORABLE',
    });
  });
});

describe('A class event arrives equal:', () => {
  it.each<[string, object]>([
    ['one with a base, getters, and private statics; words are no private fields', new WordyEvent('Ada')],
    ['a frozen one', new FrozenEvent('Ada')],
  ])('A6: %s', async (_, event) => {
    const { arrived } = started.app.get(Answers);
    arrived.length = 0;
    await run(event);
    await started.done();
    expect(arrived).toStrictEqual([event]);
    expect(Object.getPrototypeOf(arrived[0])).toBe(Object.getPrototypeOf(event));
  });

  it('A6: one whose field is a getter of its own, with what that returns', async () => {
    const { arrived } = started.app.get(Answers);
    arrived.length = 0;
    await run(new OwnGetterEvent('Ada'));
    await started.done();
    expect(arrived).toEqual([{ name: 'Ada' }]);
    expect(arrived[0]).toBeInstanceOf(OwnGetterEvent);
  });
});

describe('An argument that would not arrive as it is is refused:', () => {
  const own = {
    Array: class Array extends globalThis.Array<number> {},
    Date: class Date extends globalThis.Date {},
    Map: class Map extends globalThis.Map<string, number> {},
    Uint8Array: class Uint8Array extends globalThis.Uint8Array {},
    URL: class URL extends globalThis.URL {},
  };
  const hidden = (value: object) => Object.defineProperty(value, 'total', { value: 5 });
  const inOwnWords = Object.defineProperty(new Date(0), 'toISOString', { value: () => 'never' });

  it.each<[string, unknown]>([
    ['argument 1 is an instance of Array', own.Array.from([1])],
    ['argument 1 (.at) is an instance of Date', { at: new own.Date(0) }],
    ['argument 1 is an instance of Map', new own.Map()],
    ['argument 1 is an instance of Uint8Array', new own.Uint8Array(2)],
    ['argument 1 is an instance of URL', new own.URL('https://example.org')],
    ['argument 1 (.total) is not enumerable, and would not arrive', hidden({})],
    ['argument 1 (.total) is not enumerable, and would not arrive', hidden(Object.create(null) as object)],
    ['argument 1 (.list.total) is a property that its Array would arrive without', { list: hidden([1, 2]) }],
    ['argument 1 (.total) is a property that its Map would arrive without', hidden(new Map())],
    ['argument 1 (.toISOString) is a property that its Date would arrive without', inOwnWords],
  ])('A6, C30: %s', async (message, value) => {
    await expect(events.run('x', value)).rejects.toMatchObject({
      code: 'EVENTS_ARGUMENTS_UNSTORABLE',
      message: expect.stringContaining(`"x" cannot be stored for its durable callbacks: ${message}. No callback`),
    });
  });
});
