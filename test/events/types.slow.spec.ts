/** What the compiler takes and what it refuses, with the message that users read. The snippets are compiled, not run. */
import { describe, expect, it } from '@jest/globals';
import { compile } from '../support/compile.js';

const head = `
  import { Callback, EventRunner, defineEvent, type CallbackOptions } from 'nestjs-callbacks';
  import { applyDecorators, SetMetadata } from '@nestjs/common';
  import { z } from 'zod';
  declare const events: EventRunner;
  class UserJoined { constructor(readonly name: string, readonly email: string) {} }
  class OrderPlaced { private constructor(readonly total: number) {} static of(total: number) { return new OrderPlaced(total); } }
  const userLeft = defineEvent('user_left', z.string(), z.coerce.date().default(new Date()));
  const typed = defineEvent<[id: number, note?: string]>('typed');
`;
const testing = (source: string) => `
  import { expect } from '@jest/globals';
  import { expect as expectOfVitest } from 'vitest';
  import { TestEvents } from 'nestjs-callbacks/testing';
  import 'nestjs-callbacks/testing/jest';
  import 'nestjs-callbacks/testing/vitest';
  declare const tested: TestEvents;
  ${source}`;
const map = `
  declare module 'nestjs-callbacks' {
    interface EventMap {
      user_joined: [name: string, email: string];
      server_started: [];
      user_met: [name: string, email: string | undefined];
      tagged: string[];
      maybe?: [count: number];
      fixed: readonly [count: number];
      either: [one: string] | [one: string, two: number];
      no_tuple: string;
      no_tuple_either: { name: string };
    }
  }
`;
const method = (decorator: string, signature: string) => `class Answer { ${decorator} method${signature} {} }`;

const takes: Record<string, string> = {
  'a name with its arguments': `events.run('user_joined', 'Ada', 'ada@example.org');`,
  'a name without arguments': `events.run('server_started');`,
  'an instance': `events.run(new UserJoined('Ada', 'ada@example.org'));`,
  'an instance of a class with a private constructor': `events.run(OrderPlaced.of(5));`,
  'a definition, with arguments that have a default left out': `events.run(userLeft, 'Ada');`,
  'a definition, with what its schema coerces': `events.run(userLeft, 'Ada', '2026-01-01');`,
  'a definition typed by a type parameter': `events.run(typed, 5); events.run(typed, 5, 'note');`,
  'one of several names': `declare const name: 'user_joined'; events.run(name, 'Ada', 'ada@example.org');`,
  'runSettled and runParallel alike': `
    events.runSettled('user_joined', 'Ada', 'a@b').then((outcomes) => outcomes.map((outcome) => outcome.status === 'fulfilled' ? outcome.value : outcome.callback));
    events.runParallel(userLeft, 'Ada');`,
  'a wrapper of your own': `
    import { type EventName, type EventObject, type RunArguments } from 'nestjs-callbacks';
    const emit = <Event extends EventName | EventObject>(event: Event, ...args: RunArguments<Event>) => events.run(event, ...args);
    emit('user_joined', 'Ada', 'ada@example.org'); emit(userLeft, 'Ada'); emit(new UserJoined('Ada', 'a@b'));`,
  'A13: a wrapper for names, and one that runs several ways': `
    import { type EventName, type RunArguments } from 'nestjs-callbacks';
    const emit = <E extends EventName>(event: E, ...args: RunArguments<E>) => events.run(event, ...args);
    class Notifier {
      constructor(private readonly events: EventRunner) {}
      async notify<E extends EventName>(key: string, event: E, ...args: RunArguments<E>) {
        await this.events.with({ key }).runSettled(event, ...args);
        await this.events.runParallel<E>(event, ...args);
      }
    }
    emit('user_joined', 'Ada', 'ada@example.org'); emit('server_started');
    new Notifier(events).notify('key', 'user_joined', 'Ada', 'ada@example.org');`,
  'A13: a wrapper for definitions': `
    import { EventDefinition, type RunArguments } from 'nestjs-callbacks';
    const emit = <E extends EventDefinition<string, any, any>>(event: E, ...args: RunArguments<E>) => events.run(event, ...args);
    emit(userLeft, 'Ada'); emit(typed, 5);`,
  'A13: a wrapper of the decorator': `
    import { type CallbackDecorator, type EventName } from 'nestjs-callbacks';
    const On = <E extends EventName>(event: E): CallbackDecorator<E> => Callback(event, { optional: true });
    class Answer { @On('user_joined') one(name: string) {} }`,
  'A12: one of several events, with arguments that fit all of them': `
    declare const name: 'user_joined' | 'user_met';
    events.run(name, 'Ada', 'ada@example.org');
    declare const event: 'user_joined' | typeof greeted;
    const greeted = defineEvent<[name: string, email: string | number]>('greeted');
    events.run(event, 'Ada', 'ada@example.org');`,
  'an entry that is optional, read-only, or one of several tuples': `
    events.run('maybe', 5); events.run('fixed', 5); events.run('either', 'one'); events.run('either', 'one', 2);
    events.run('tagged'); events.run('tagged', 'one', 'two');`,
  'what is an object, an interface, or anything': `
    interface DomainEvent { readonly at: Date }
    declare const kept: { events: object[]; domain: DomainEvent[]; any: any; empty: {} };
    for (const event of kept.events) events.run(event);
    for (const event of kept.domain) events.run(event);
    events.run(kept.any); events.run(kept.any, 1, 2); events.run('user_joined', kept.any, kept.any);
    const publish = <T extends object>(event: T) => events.run(event as object);
    publish(new UserJoined('Ada', 'a@b'));`,
  'an instance of an empty class': `
    class Started {} const started = {} as Started | { readonly at: Date };
    events.run(new Started()); events.runSettled(new Started()); events.run(started);
    class Answer { @Callback(Started) one(event: Started) {} }`,
  'events with a field like a method of a promise': `
    class Planned { readonly then = new Date(); readonly call = 'mobile'; readonly name = 'x'; readonly length = 5; }
    class Called { call(): void {} apply(): void {} }
    events.run(new Planned()); events.run(new Called());`,
  'a runner made by with()': `events.with({}).run('user_joined', 'Ada', 'ada@example.org');`,
  'a method that takes all the arguments': method(`@Callback('user_joined')`, '(name: string, email: string)'),
  'a method that takes fewer, or wider ones': method(`@Callback('user_joined')`, '(name: string | number)'),
  'an asynchronous, a private and a generic method': `
    class Answer {
      @Callback('user_joined') async one(name: string) {}
      @Callback('user_joined') private two(name: string) {}
      @Callback('user_joined') three<T>(name: T) {}
    }`,
  'a method that takes an instance of the event class': method('@Callback(UserJoined)', '(event: UserJoined)'),
  'a method of a class with a private constructor': method('@Callback(OrderPlaced)', '(event: OrderPlaced)'),
  'a method that takes what the schemas return': method('@Callback(userLeft)', '(name: string, at: Date)'),
  'a method that answers a typed definition': method('@Callback(typed)', '(id: number, note?: string)'),
  'stacked decorators': method(`@Callback('user_joined') @Callback(userLeft)`, '(name: string)'),
  'composed decorators': `
    const Joined = (options?: CallbackOptions) => Callback('user_joined', options);
    const Audited = () => applyDecorators(Callback('user_joined'), SetMetadata('audited', true));
    class Answer { @Joined() one(name: string) {} @Audited() two(name: string) {} }`,
};

takes['matchers with all arguments, or none, or with matchers for some, in Jest and in Vitest'] = testing(`
  expect(tested).toHaveRun('user_joined');
  expect(tested).toHaveRun('user_joined', 'Ada', expect.stringContaining('@'));
  expect(tested).not.toHaveRun('server_started');
  expect(tested).toHaveRun(UserJoined);
  expect(tested).toHaveRun(UserJoined, expect.objectContaining({ name: 'Ada' }));
  expect(tested).toHaveRun(new UserJoined('Ada', 'a@b'));
  expect(tested).toHaveRun(userLeft, 'Ada', new Date());
  expect(tested).toHaveRunTimes(typed, 2);
  expect(tested).toHaveCalled('Emails.greet', 'Ada', expect.anything());
  expect(tested).toHaveFailed('Emails.greet', Error);
  expectOfVitest(tested).toHaveRun('user_joined', 'Ada', expectOfVitest.any(String));
  expectOfVitest(tested).not.toHaveRunTimes('server_started', 1);
  declare const matchers: jest.Matchers<void, TestEvents>;
  matchers.toHaveRun('user_joined', 'Ada', 'a@b');`);
takes['what is recorded of an event, and a fake of it, by its arguments'] = testing(`
  const [{ arguments: [name, email] }] = tested.runsOf('user_joined');
  name satisfies string; email satisfies string;
  tested.runsOf(UserJoined)[0].arguments[0].email satisfies string;
  tested.runsOf(userLeft)[0].arguments[1] satisfies Date;
  tested.fakeEvent('user_joined', (name) => name.length);
  tested.fakeEvent(UserJoined, async ({ email }) => email.length);`);

const refuses: Record<string, [source: string, ...messages: RegExp[]]> = {
  'a mistyped name at the call': [
    `events.run('user_joind', 'Ada', 'a@b');`,
    /^Argument of type '"user_joind"' is not assignable to parameter of type '(?=.*"user_joined" \| "server_started").*'\.$/,
  ],
  'a mistyped name at the decorator': [
    method(`@Callback('user_joind')`, '()'),
    /^Argument of type '"user_joind"' is not assignable to parameter of type '(?=.*"user_joined" \| "server_started").*'\.$/,
  ],
  'too few arguments': [`events.run('user_joined', 'Ada');`, /^Expected 3 arguments, but got 2\.$/],
  'too many arguments': [`events.run('server_started', 'Ada');`, /^Expected 1 arguments, but got 2\.$/],
  'a wrong argument': [
    `events.run('user_joined', 'Ada', 5);`,
    /^Argument of type 'number' is not assignable to parameter of type 'string'\.$/,
  ],
  'a wrong argument of a definition': [
    `events.run(userLeft, 5);`,
    /^Argument of type 'number' is not assignable to parameter of type 'string'\.$/,
  ],
  'an argument beside an instance': [
    `events.run(new UserJoined('Ada', 'a@b'), 'Ada');`,
    /^Expected 1 arguments, but got 2\.$/,
  ],
  'a class where an instance is meant': [
    `events.run(UserJoined);`,
    /^Argument of type 'typeof UserJoined' is not assignable to parameter of type '.*EventObject.*'\.\nDid you mean to use 'new' with this expression\?$/,
  ],
  'a promise of an event': [
    `events.run(Promise.resolve(new UserJoined('Ada', 'a@b')));`,
    /^Argument of type 'Promise<UserJoined>' is not assignable to parameter of type '.*EventObject.*'\./,
    /is not assignable to type 'NoClassPromiseOrSchema'/,
    /\nDid you forget to use 'await'\?$/,
  ],
  'an event that is nothing of the kind': [
    `events.run(5);`,
    /^Argument of type '5' is not assignable to parameter of type '.*EventObject.*'\.$/,
  ],
  'a schema that has no name': [`events.run(z.string());`, /is not assignable to type 'NoClassPromiseOrSchema'/],
  'A12: any name at all, without arguments': [
    `import { type EventName } from 'nestjs-callbacks'; declare const name: EventName; events.run(name);`,
    /^Argument of type '\[\]' is not assignable to parameter of type 'never'\.$/,
  ],
  'A12: one of two names, with the arguments of one': [
    `declare const name: 'user_joined' | 'maybe'; events.run(name, 'Ada');`,
    /^Argument of type 'string' is not assignable to parameter of type 'NoArgumentsFitAllOfTheseEvents'\.$/,
  ],
  'A12: one of two names, with too few for one': [
    `declare const name: 'user_joined' | 'server_started'; events.run(name);`,
    /^Expected 2 arguments, but got 1\./,
  ],
  'A12: one of two definitions, with the arguments of one': [
    `events.run(Math.random() > 0.5 ? userLeft : typed, 'Ada');`,
    /Type 'string' is not assignable to type 'number'\.$/,
  ],
  'A12: a definition or an instance, with arguments': [
    `events.run(Math.random() > 0.5 ? userLeft : new UserJoined('Ada', 'a@b'), 'Ada');`,
    /^Argument of type 'string' is not assignable to parameter of type 'NoArgumentsFitAllOfTheseEvents'\.$/,
  ],
  'A12: a method that takes the arguments of one of two events': [
    `declare const name: 'user_joined' | 'maybe'; ${method('@Callback(name)', '(name: string)')}`,
    /Types of parameters 'name' and 'args' are incompatible/,
  ],
  'A13: a wrong argument of a wrapper': [
    `import { type EventName, type RunArguments } from 'nestjs-callbacks';
    const emit = <E extends EventName>(event: E, ...args: RunArguments<E>) => events.run(event, ...args);
    emit('user_joined', 'Ada', 5);`,
    /^Argument of type 'number' is not assignable to parameter of type 'string'\.$/,
  ],
  'A13: a mistyped name of a wrapper': [
    `import { type EventName, type RunArguments } from 'nestjs-callbacks';
    const emit = <E extends EventName>(event: E, ...args: RunArguments<E>) => events.run(event, ...args);
    emit('user_joind', 'Ada', 'a@b');`,
    /^Argument of type '"user_joind"' is not assignable to parameter of type '"user_joined" \| "server_started" .*'\.$/,
  ],
  'A15: an entry of EventMap that is no tuple, at the call': [
    `events.run('no_tuple', 'Ada');`,
    /^Argument of type 'string' is not assignable to parameter of type 'NotATuple<"In EventMap, no_tuple must have a tuple, as in no_tuple: \[name: string\]">'\.$/,
  ],
  'A15: an entry of EventMap that is no tuple, at the decorator': [
    method(`@Callback('no_tuple_either')`, '(event: { name: string })'),
    /NotATuple<"In EventMap, no_tuple_either must have a tuple, as in no_tuple_either: \[name: string\]">/,
  ],
  'A15: an entry of EventMap that is no tuple, run without arguments': [
    `events.run('no_tuple');`,
    /^Expected 2 arguments, but got 1\./,
  ],
  'a method with a wrong parameter': [
    method(`@Callback('user_joined')`, '(age: number)'),
    /\(age: number\) => void/,
    /\(name: string, email: string\) => unknown/,
    /Types of parameters 'age' and 'name' are incompatible/,
  ],
  'a method that wants more than the event carries': [
    method(`@Callback('user_joined')`, '(name: string, email: string, age: number)'),
    /Target signature provides too few arguments\. Expected 3 or more, but got 2\./,
  ],
  'a method that takes what run() takes rather than what the schemas return': [
    method('@Callback(userLeft)', '(name: string, at: string)'),
    /Type 'Date' is not assignable to type 'string'/,
  ],
  'a method that takes another class': [
    method('@Callback(UserJoined)', '(event: OrderPlaced)'),
    /Types of parameters 'event' and 'event' are incompatible/,
    /missing the following properties from type 'OrderPlaced'|missing in type 'UserJoined'/,
  ],
  'a mistyped option': [
    method(`@Callback('user_joined', { optionl: true })`, '()'),
    /'optionl' does not exist in type 'CallbackOptions'\. Did you mean to write 'optional'\?|but 'optionl' does not exist in type 'CallbackOptions'/,
  ],
  'a delivery that is not offered': [
    method(`@Callback('user_joined', { delivery: 'later' })`, '()'),
    /Type '"later"' is not assignable to type 'DeliveryMode \| undefined'\.$/,
  ],
  'a mistyped name in a matcher': [
    testing(`expect(tested).toHaveRun('user_joind');`),
    /^Argument of type '"user_joind"' is not assignable to parameter of type '(?=.*"user_joined" \| "server_started").*'\.$/,
  ],
  'a wrong argument in a matcher': [
    testing(`expect(tested).toHaveRun('user_joined', 'Ada', 5);`),
    /is not assignable to type '\[name: string \| Asymmetric, email: string \| Asymmetric\]'/,
    /Type 'number' is not assignable to type 'string \| Asymmetric'\.$/,
  ],
  'too few arguments in a matcher of Vitest': [
    testing(`expectOfVitest(tested).not.toHaveRun('user_joined', 'Ada');`),
    /Source has 1 element\(s\) but target requires 2\.$/,
  ],
  'a fake that takes something else': [
    testing(`tested.fakeEvent('user_joined', (name: number) => name);`),
    /^Argument of type '\(name: number\) => number' is not assignable to parameter of type '\(name: string, email: string\) => unknown'/,
  ],
  'a field of with() that is not offered': [
    `events.with({ priority: 5 });`,
    /'priority' does not exist in type 'RunContext'/,
  ],
};

describe('With events declared in EventMap, the compiler', () => {
  const names = [...Object.keys(takes), ...Object.keys(refuses)];
  const sources = [...Object.values(takes), ...Object.values(refuses).map(([source]) => source)];
  const messages = compile([
    `${head} export {}; ${map}`,
    ...sources.map((source) => `${head} ${source} export {};`),
  ]).slice(1);
  const of = (name: string) => messages[names.indexOf(name)];

  it.each(Object.keys(takes))('takes %s', (name) => {
    expect(of(name)).toEqual([]);
  });

  it.each(Object.entries(refuses))('refuses %s', (name, [, ...expected]) => {
    expect(of(name)).toHaveLength(1);
    for (const message of expected) expect(of(name)[0]).toMatch(message);
  });
});

describe('While EventMap is empty, the compiler', () => {
  const [anything, instance, definition, callback] = compile(
    [
      `events.run('anything', 1, 'two'); events.runSettled('else');`,
      `events.run(new UserJoined('Ada', 'a@b'), 5);`,
      `events.run(userLeft, 5);`,
      method(`@Callback('anything')`, '(name: string, age: number)'),
    ].map((source) => `${head} ${source} export {};`),
  );

  it('takes any name with any arguments, at the call and at the decorator', () => {
    expect([anything, callback]).toEqual([[], []]);
  });

  it('still checks classes and definitions', () => {
    expect([instance.length, definition.length]).toEqual([1, 1]);
  });
});

describe('A23: With an index signature in EventMap, beside declared names, the compiler', () => {
  const open = `
    enum Kind { Paid = 'order.paid' }
    declare module 'nestjs-callbacks' {
      interface EventMap { [name: string]: any[]; user_joined: [name: string, email: string]; [Kind.Paid]: [total: number] }
    }`;
  const [, computed, wrong, kind, wrongKind, answers, wrapped] = compile(
    [
      open,
      `events.run(\`tenant.\${1}.joined\`, 1, 'two'); events.run('anything'); events.run('user_joined', 'Ada', 'a@b');`,
      `events.run('user_joined', 'Ada', 5);`,
      `enum Kind { Paid = 'order.paid' } events.run(Kind.Paid, 5);`,
      `events.run('order.paid', 'five');`,
      `class Answer { @Callback('tenant.' + 1) one(name: string) {} @Callback('user_joined') two(name: string) {} }`,
      `import { type EventName, type RunArguments } from 'nestjs-callbacks';
       const emit = <E extends EventName>(event: E, ...args: RunArguments<E>) => events.run(event, ...args);
       emit('user_joined', 'Ada', 'a@b'); emit('tenant.' + 1, 5);`,
    ].map((source) => `${head} ${source} export {};`),
  );

  it('takes other names, and computed ones', () => {
    expect([computed, kind, answers, wrapped]).toEqual([[], [], [], []]);
  });

  it('still checks the declared ones', () => {
    expect(wrong).toEqual([`Argument of type 'number' is not assignable to parameter of type 'string'.`]);
    expect(wrongKind).toEqual([`Argument of type 'string' is not assignable to parameter of type 'number'.`]);
  });
});
