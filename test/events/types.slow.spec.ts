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
    import { type RunArguments, type RunEvent } from 'nestjs-callbacks';
    const emit = <const Event>(event: RunEvent<Event>, ...args: RunArguments<Event>) => events.run<Event>(event, ...args);
    emit('user_joined', 'Ada', 'ada@example.org');`,
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
    /^Argument of type '"user_joind"' is not assignable to parameter of type '"user_joined" \| "server_started"'\.$/,
  ],
  'a mistyped name at the decorator': [
    method(`@Callback('user_joind')`, '()'),
    /^Argument of type '"user_joind"' is not assignable to parameter of type '"user_joined" \| "server_started"'\.$/,
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
    /^Argument of type 'typeof UserJoined' is not assignable to parameter of type '"an instance of this class, not the class itself"'\.$/,
  ],
  'a promise of an event': [
    `events.run(Promise.resolve(new UserJoined('Ada', 'a@b')));`,
    /is not assignable to parameter of type '"what this promise resolves to: await it first"'\.$/,
  ],
  'an event that is nothing of the kind': [
    `events.run(5);`,
    /^Argument of type '5' is not assignable to parameter of type '"a name, an instance of an event class, or what defineEvent\(\) returned"'\.$/,
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
    /^Argument of type '"user_joind"' is not assignable to parameter of type '"user_joined" \| "server_started"'\.$/,
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
